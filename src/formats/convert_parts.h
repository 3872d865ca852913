/* Inside formats/: the steps of a conversion. package_convert (convert.c) plans all tensors of the
 * output (convert_plan.c), then writes either a GGUF, whose key-values come from convert_gguf.c, or
 * a folder, whose small files come from convert_folder.c. */
#ifndef WEN_FORMATS_CONVERT_PARTS_H
#define WEN_FORMATS_CONVERT_PARTS_H

#include "base/pool.h"
#include "formats/names.h"
#include "formats/package.h"
#include "tensor/low_rank.h"

/* One tensor of the output, and where it comes from. */
typedef struct PlannedTensor {
    TensorName name;
    TensorInfo info; /* info.name points at text */
    char text[TENSOR_NAME_BYTES];
    int n_pieces; /* sources in order: 1, or n_experts tensors that make a bank */
    bool is_stacked;
} PlannedTensor;

typedef struct ConvertPlan {
    PlannedTensor *tensors;
    int n, capacity;
    int n_layers, n_experts;
    uint32_t file_type; /* general.file_type */
    bool is_quantized;  /* some tensor is of a block type */
    bool is_tied;       /* the embedding is the head, too */
    uint64_t bytes_in;
} ConvertPlan;

bool convert_plan(ConvertPlan *plan, const Package *in, const ConvertOptions *options,
                  Error *err) MUST_USE;
void convert_plan_free(ConvertPlan *plan);
/* Piece i of a planned tensor, and its Hugging Face name. */
void convert_piece_name(char text[TENSOR_NAME_BYTES], const PlannedTensor *planned, int i);
bool convert_piece(const Package *in, const PlannedTensor *planned, int i, Tensor *out,
                   Error *err) MUST_USE;
/* What the options' importance says of its columns; false: nothing. */
bool convert_columns(const ConvertPlan *plan, const ConvertOptions *options,
                     const PlannedTensor *planned, int i, float *out);

/* general.file_type of a model that is mostly of that type. */
uint32_t convert_file_type(DType type);

/* convert_size.c: gives the plan's matrices the types that leave the least error within the
 * options' target_bytes, of which a file's header takes header_bytes. */
bool convert_choose(ConvertPlan *plan, const Package *in, const ConvertOptions *options, Pool *pool,
                    uint64_t header_bytes, Error *err) MUST_USE;

/* convert_merge.c: what the options' adapters do to one matrix. */
typedef struct Merge {
    LowRankUpdate *updates; /* [n] */
    int n;                  /* 0: nothing */
    Arena arena;
} Merge;

/* Every pair of every adapter has its matrix in the package. */
bool merge_check(const Package *in, const ConvertOptions *options, Error *err) MUST_USE;
/* Reads what changes the matrix of that Hugging Face name; takes the place of the one before. */
bool merge_begin(Merge *merge, const ConvertOptions *options, const char *name,
                 Error *err) MUST_USE;
/* Adds it to n elements of the matrix from `first` on. */
void merge_add(const Merge *merge, int64_t first, int64_t n, float *w);

/* The tokenizer as GGUF has it. Strings are borrowed from the package or live in the arena. */
typedef struct TokenArrays {
    Arena arena;
    Str *tokens;
    int32_t *types; /* as PackageText's */
    int n;          /* 0: the package has no tokenizer */
    Str *merges;
    int n_merges;
    Str pre;
    int32_t bos_id, eos_id, pad_id;
    bool add_bos;
} TokenArrays;

/* n_rows: of the embedding; ids without a token become "[PAD<id>]". */
bool token_arrays_read(TokenArrays *t, const Package *in, int64_t n_rows, Error *err) MUST_USE;
void token_arrays_free(TokenArrays *t);

/* All key-values of a GGUF made from `in`. */
bool convert_put_pairs(GgufWriter *w, const Package *in, const ConvertPlan *plan,
                       const char *out_path, Error *err) MUST_USE;
/* Everything of a folder but the weights. `type` names them in config.json. */
bool convert_write_texts(const Package *in, const char *dir, DType type, Error *err) MUST_USE;

#endif
