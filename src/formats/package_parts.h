/* Inside formats/: what a Package is made of, and who fills which part of it. */
#ifndef WEN_FORMATS_PACKAGE_PARTS_H
#define WEN_FORMATS_PACKAGE_PARTS_H

#include "formats/package.h"
#include "formats/prequantized.h"

enum { PACKAGE_TEXT_FILES = 7 };

struct Package {
    char *path;
    Str memory; /* borrowed; NULL data: read from `path` */
    TensorTable *tensors;
    Prequantized *quantized; /* NULL: none */
    Gguf *gguf;              /* NULL: a folder */
    json_t *config;          /* may be NULL if weights are not needed */
    json_t *generation;      /* may be NULL */
    json_t *tokenizer_config;
    bool is_tied; /* lm_head.weight may be served by the embedding */
    PackageText text;
    FileMap text_files[PACKAGE_TEXT_FILES];
    int n_text_files;
    Buf tiktoken_vocab, tiktoken_merges, tiktoken_added; /* what qwen.tiktoken is read as */
    Arena arena;
};

/* package_folder.c: config.json, shards, tokenizer files. */
/* dir/name as a JSON object; *object stays NULL when there is no such file. */
bool json_file_read(const char *dir, const char *name, json_t **object, Error *err) MUST_USE;
bool package_read_folder(Package *p, bool need_weights, Error *err) MUST_USE;
/* package_gguf.c: the same out of one GGUF. */
bool package_read_gguf(Package *p, bool need_weights, Error *err) MUST_USE;

#endif
