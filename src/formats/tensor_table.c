/* See tensor_table.h. An array in file order, and an open-addressed index of names over it. */
#include "formats/tensor_table.h"

#include "base/bug.h"
#include "base/mem.h"

#include <string.h>

enum { FIRST_ITEMS = 64, FIRST_MAPS = 4 };

struct TensorTable {
    NamedTensor *items;
    int n, capacity;
    uint32_t *slots; /* item + 1, or 0; a power of two of them, at most half full */
    uint32_t n_slots;
    FileMap *maps;
    int n_maps, maps_capacity;
    const char *last_file, *last_type; /* most tensors share them with the one before */
    Arena strings;
};

TensorTable *tensor_table_new(void) { return mem_alloc(sizeof(TensorTable)); }

void tensor_table_free(TensorTable *table)
{
    if (!table)
        return;
    for (int i = 0; i < table->n_maps; i++)
        file_unmap(&table->maps[i]);
    mem_free(table->maps);
    mem_free(table->items);
    mem_free(table->slots);
    arena_close(&table->strings);
    mem_free(table);
}

void tensor_table_release(const TensorTable *table)
{
    for (int i = 0; i < table->n_maps; i++)
        file_map_release(&table->maps[i]);
}

int tensor_table_count(const TensorTable *table) { return table->n; }

const NamedTensor *tensor_table_at(const TensorTable *table, int i)
{
    ASSERT(i >= 0 && i < table->n);
    return &table->items[i];
}

/* The slot that holds `name`, or the free one where it belongs. */
static uint32_t slot_of(const TensorTable *table, const char *name)
{
    uint32_t mask = table->n_slots - 1, slot = (uint32_t)str_hash(str_from(name)) & mask;
    while (table->slots[slot] && strcmp(table->items[table->slots[slot] - 1].name, name) != 0)
        slot = (slot + 1) & mask;
    return slot;
}

const NamedTensor *tensor_table_find(const TensorTable *table, const char *name)
{
    if (table->n == 0)
        return NULL;
    uint32_t item = table->slots[slot_of(table, name)];
    return item ? &table->items[item - 1] : NULL;
}

void tensor_table_own(TensorTable *table, FileMap map)
{
    if (table->n_maps == table->maps_capacity) {
        int capacity = table->maps_capacity ? table->maps_capacity * 2 : FIRST_MAPS;
        FileMap *grown = mem_alloc((size_t)capacity * sizeof *grown);
        if (table->n_maps)
            memcpy(grown, table->maps, (size_t)table->n_maps * sizeof *grown);
        mem_free(table->maps);
        table->maps = grown;
        table->maps_capacity = capacity;
    }
    table->maps[table->n_maps++] = map;
}

static bool grow(TensorTable *table, Error *err)
{
    int capacity = table->capacity ? table->capacity * 2 : FIRST_ITEMS;
    size_t old_bytes = (size_t)table->n * sizeof *table->items;
    NamedTensor *items = mem_try_grow(table->items, old_bytes, (size_t)capacity * sizeof *items,
                                      "tensor names", err);
    if (!items)
        return false;
    table->items = items;
    uint32_t *slots = mem_try_alloc((size_t)capacity * 2 * sizeof *slots, "tensor names", err);
    if (!slots)
        return false;
    mem_free(table->slots);
    table->slots = slots;
    table->n_slots = (uint32_t)capacity * 2;
    table->capacity = capacity;
    for (int i = 0; i < table->n; i++)
        table->slots[slot_of(table, table->items[i].name)] = (uint32_t)i + 1;
    return true;
}

static const char *keep(TensorTable *table, const char *text, const char **last)
{
    if (!*last || strcmp(*last, text) != 0)
        *last = arena_strndup(&table->strings, text, strlen(text));
    return *last;
}

bool tensor_table_add(TensorTable *table, const NamedTensor *tensor, Error *err)
{
    const NamedTensor *twin = tensor_table_find(table, tensor->name);
    if (twin)
        return error_set(err, ERROR_FORMAT, "tensor %.200s is there already, in %s", tensor->name,
                         twin->file);
    if (table->n == table->capacity && !grow(table, err))
        return false;
    NamedTensor copy = *tensor;
    copy.name = arena_strndup(&table->strings, tensor->name, strlen(tensor->name));
    copy.file = keep(table, tensor->file, &table->last_file);
    copy.type_name = keep(table, tensor->type_name, &table->last_type);
    table->slots[slot_of(table, copy.name)] = (uint32_t)table->n + 1;
    table->items[table->n++] = copy;
    return true;
}
