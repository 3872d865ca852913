/* See char_table.h. */
#include "text/char_table.h"

#include "base/mem.h"

#include <string.h>
#include <utf8proc.h>

/* A canonical decomposition has at most 4 characters (Unicode 15, table of UAX 15). */
enum { DECOMPOSITION_MAX = 8, N_BLOCKS = CHAR_TABLE_END / CHAR_BLOCK };

/* The 25 White_Space characters (PropList.txt), less CR and LF. */
static bool is_space(uint32_t cp)
{
    return cp == 0x09 || cp == 0x0B || cp == 0x0C || cp == 0x20 || cp == 0x85 || cp == 0xA0 ||
           cp == 0x1680 || (cp >= 0x2000 && cp <= 0x200A) || cp == 0x2028 || cp == 0x2029 ||
           cp == 0x202F || cp == 0x205F || cp == 0x3000;
}

static CharClass class_of(uint32_t cp)
{
    if (cp == '\r' || cp == '\n')
        return CHAR_NEWLINE;
    if (is_space(cp))
        return CHAR_SPACE;
    utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)cp);
    if (category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO)
        return CHAR_LETTER;
    if (category >= UTF8PROC_CATEGORY_ND && category <= UTF8PROC_CATEGORY_NO)
        return CHAR_NUMBER;
    return CHAR_OTHER;
}

/* A character that decomposes either comes back when its parts are composed, and then its last part
 * is one that joins what stands before it, or it does not, and then NFC never holds it. */
static void mark_decomposable(uint8_t *bits, uint32_t cp)
{
    utf8proc_int32_t parts[DECOMPOSITION_MAX];
    int bound_class = 0;
    utf8proc_ssize_t n =
        utf8proc_decompose_char((utf8proc_int32_t)cp, parts, DECOMPOSITION_MAX,
                                UTF8PROC_DECOMPOSE | UTF8PROC_STABLE, &bound_class);
    if (n < 1 || n > DECOMPOSITION_MAX || (n == 1 && parts[0] == (utf8proc_int32_t)cp))
        return;
    utf8proc_int32_t last = parts[n - 1];
    n = utf8proc_normalize_utf32(parts, n, UTF8PROC_COMPOSE | UTF8PROC_STABLE);
    if (n == 1 && parts[0] == (utf8proc_int32_t)cp) {
        if (last >= 0 && last < CHAR_TABLE_END)
            bits[last] |= CHAR_NFC_UNSTABLE;
    } else {
        bits[cp] |= CHAR_NFC_UNSTABLE;
    }
}

static uint16_t keep_block(CharTable *table, const uint8_t *block)
{
    for (int i = table->n_blocks - 1; i >= 0; i--)
        if (memcmp(table->blocks[i], block, CHAR_BLOCK) == 0)
            return (uint16_t)i;
    memcpy(table->blocks[table->n_blocks], block, CHAR_BLOCK);
    return (uint16_t)table->n_blocks++;
}

bool char_table_open(CharTable *table, Error *err)
{
    *table = (CharTable){0};
    uint8_t *bits = mem_try_alloc(CHAR_TABLE_END, "the character table", err);
    table->blocks = mem_try_alloc(CHAR_TABLE_END, "the character table", err);
    if (!bits || !table->blocks) {
        mem_free(bits);
        char_table_close(table);
        return false;
    }
    for (uint32_t cp = 0; cp < CHAR_TABLE_END; cp++) {
        bits[cp] |= (uint8_t)class_of(cp);
        if (utf8proc_get_property((utf8proc_int32_t)cp)->combining_class != 0)
            bits[cp] |= CHAR_NFC_ORDERED;
        mark_decomposable(bits, cp);
    }
    for (int i = 0; i < N_BLOCKS; i++)
        table->block_of[i] = keep_block(table, bits + (size_t)i * CHAR_BLOCK);
    mem_free(bits);
    return true;
}

void char_table_close(CharTable *table)
{
    mem_free(table->blocks);
    *table = (CharTable){0};
}
