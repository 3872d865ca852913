/* The packed form of a weight matrix: one layout that every instruction-set level reads.
 *
 * Rows are taken sixteen at a time (a tile; the last one is filled up with zero rows), so that the
 * lanes of a vector register are output rows. A tile is one sequential stream of records, one for
 * each block of columns, and a record holds exactly the bytes that its 16 rows' blocks have in a
 * file: packing moves bytes, it neither adds nor loses any.
 *
 *   F32        16 rows x 1 column                                    64 bytes
 *   F16        16 rows x 1 column                                    32 bytes
 *   BF16       16 rows x 2 columns (an odd last one is paired with 0)  64 bytes
 *   block types, 32 columns a block:
 *     Q8_0     d[16], quants                                         544 bytes
 *     Q4_0     d[16], quants                                         288
 *     Q4_1     d[16], m[16], quants                                  320
 *     Q5_0     d[16], quants                                         352
 *     Q5_1     d[16], m[16], quants                                  384
 *   block types, 256 columns a block (eight sub-blocks of 32):
 *     Q4_K     d[16], dmin[16], scales[12][16], quants[8]           2304
 *     Q5_K     d[16], dmin[16], scales[12][16], quants[8]           2816
 *     Q6_K     d[16], scales[16][16], quants[8]                     3360
 *     Q2_K     d[16], dmin[16], scales[16][16], quants[8]           1344
 *     Q3_K     d[16], scales[12][16], quants[8]                     1760
 *     IQ4_XS   d[16], scales_high[16], scales_low[4][16], quants[8] 2176
 *   block types with code books, 32 columns a block:
 *     IQ4_NL   d[16], quants                                         288
 *     MXFP4    exponent[16] (a byte each), quants                    272
 *   groups of n = 32, 64 or 128 columns (n / 32 sub-blocks of 32):
 *     A4_n     step[16], low[16] (f32), quants[n / 32]      128 + 8 n
 *     A8_n     step[16], low[16] (f32), quants[n / 32]      128 + 16 n
 *     F8_128   scale[16] (f32), 64 times 16 rows x 2 columns of E4M3   2112
 *
 * d, m and dmin are halves; scales[j][row] is byte j of the row's scales as the file has it.
 *
 * The quants of 32 columns are stored as unsigned numbers (Q8_0: its signed bytes xor 0x80).
 * Columns go in groups of four: group g is columns 4g .. 4g+3, and byte 4 * row + c of a 64-byte
 * vector belongs to column 4g + c of that row, which is what vpdpbusd multiplies. 8 bits: vectors
 * 0..7: group g. 2 bits: bits 2j, 2j+1 of vector p are group 4p + j. 3 bits: as 2 bits, then one
 * vector whose bit g is the third bit of group g. 4 bits: vectors 0..3: low nibbles group i, high
 * nibbles group i + 4. 5 bits: as 4 bits, then one vector whose bit g is the fifth bit of group g.
 * 6 bits: as 4 bits, then two vectors: bits 2j, 2j+1 of vector p are bits 4, 5 of group 4p + j.
 */
#ifndef WEN_CPU_PACKED_H
#define WEN_CPU_PACKED_H

#include "tensor/dtype.h"
#include "tensor/quant_codes.h"

enum {
    TILE_ROWS = 16,
    BLOCK_COLS = 32,                      /* columns that share an activation scale */
    VECTOR_BYTES = 64,                    /* 16 rows x 4 bytes */
    QUANT_BYTES = TILE_ROWS * BLOCK_COLS, /* of 32 columns, one byte each */
    SUPER_BLOCKS = 8                      /* blocks of 32 in a K-type's block of 256 */
};

/* How a quantized type turns isum, the integer sum of (u - offset) * x over a block of 32 columns,
 * and the scale into the block's share of the product (docs/numerics.md, "Products"). */
typedef enum PackedForm {
    PACKED_PLAIN,      /* F32, F16, BF16: no blocks */
    PACKED_FLOAT8,     /* F8_128: scale * the float sum of 128 columns */
    PACKED_OFFSET,     /* scale * isum */
    PACKED_MIN,        /* scale * isum + min * sum(x) */
    PACKED_HALVES,     /* scale_0 * isum of the first 16 columns + scale_1 * isum of the others */
    PACKED_HALVES_MIN, /* as HALVES, + min_0 * sum(x of the first 16) + min_1 * sum(x of the others)
                        */
} PackedForm;

/* What u is: the stored code itself, or the number that it stands for, plus the offset. */
typedef enum PackedCodes {
    PACKED_LINEAR,
    PACKED_IQ4, /* IQ4_VALUES */
    PACKED_E2M1 /* E2M1_VALUES */
} PackedCodes;

/* How a record's header spells the scales of its blocks. */
typedef enum PackedScales {
    PACKED_HALF, /* d, and m for the MIN form */
    PACKED_LINE, /* f32 step and low, the same for all blocks */
    PACKED_E8M0,
    PACKED_Q45_K,
    PACKED_Q6_K,
    PACKED_Q2_K,
    PACKED_Q3_K,
    PACKED_IQ4_XS
} PackedScales;

typedef struct PackedLayout {
    PackedForm form;
    PackedCodes codes;
    PackedScales scales;
    int bits;         /* of a code */
    int offset_shift; /* u has an offset of 1 << offset_shift; 0 when it has none */
    int blocks;       /* of 32 columns in a record; 0 for PLAIN */
    int record_bytes;
    int header_bytes; /* of a record, before its quants */
    int block_bytes;  /* the quants of 32 columns */
} PackedLayout;

/* X(TYPE, the fields of its PackedLayout) for every type that is multiplied in integers: the fast
 * kernels are unrolled with them. */
#define PACKED_LAYOUTS(X)                                                                          \
    X(Q8_0, PACKED_OFFSET, PACKED_LINEAR, PACKED_HALF, 8, 7, 1, 544, 32, 512)                      \
    X(Q4_0, PACKED_OFFSET, PACKED_LINEAR, PACKED_HALF, 4, 3, 1, 288, 32, 256)                      \
    X(Q4_1, PACKED_MIN, PACKED_LINEAR, PACKED_HALF, 4, 0, 1, 320, 64, 256)                         \
    X(Q5_0, PACKED_OFFSET, PACKED_LINEAR, PACKED_HALF, 5, 4, 1, 352, 32, 320)                      \
    X(Q5_1, PACKED_MIN, PACKED_LINEAR, PACKED_HALF, 5, 0, 1, 384, 64, 320)                         \
    X(Q4_K, PACKED_MIN, PACKED_LINEAR, PACKED_Q45_K, 4, 0, 8, 2304, 256, 256)                      \
    X(Q5_K, PACKED_MIN, PACKED_LINEAR, PACKED_Q45_K, 5, 0, 8, 2816, 256, 320)                      \
    X(Q6_K, PACKED_HALVES, PACKED_LINEAR, PACKED_Q6_K, 6, 5, 8, 3360, 288, 384)                    \
    X(Q2_K, PACKED_HALVES_MIN, PACKED_LINEAR, PACKED_Q2_K, 2, 0, 8, 1344, 320, 128)                \
    X(Q3_K, PACKED_HALVES, PACKED_LINEAR, PACKED_Q3_K, 3, 2, 8, 1760, 224, 192)                    \
    X(IQ4_NL, PACKED_OFFSET, PACKED_IQ4, PACKED_HALF, 4, 7, 1, 288, 32, 256)                       \
    X(IQ4_XS, PACKED_OFFSET, PACKED_IQ4, PACKED_IQ4_XS, 4, 7, 8, 2176, 128, 256)                   \
    X(MXFP4, PACKED_OFFSET, PACKED_E2M1, PACKED_E8M0, 4, 4, 1, 272, 16, 256)

/* X(TYPE, bits, blocks) for the groups. Their kernels are unrolled for the bits only: see
 * packed_group. */
#define PACKED_GROUPS(X)                                                                           \
    X(A4_32, 4, 1)                                                                                 \
    X(A4_64, 4, 2)                                                                                 \
    X(A4_128, 4, 4)                                                                                \
    X(A8_32, 8, 1)                                                                                 \
    X(A8_64, 8, 2)                                                                                 \
    X(A8_128, 8, 4)

enum { GROUP_HEADER_BYTES = 2 * TILE_ROWS * 4 };
static inline PackedLayout packed_group(int bits, int blocks)
{
    const int block_bytes = QUANT_BYTES * bits / 8;
    return (PackedLayout){.form = PACKED_MIN,
                          .scales = PACKED_LINE,
                          .bits = bits,
                          .blocks = blocks,
                          .record_bytes = GROUP_HEADER_BYTES + blocks * block_bytes,
                          .header_bytes = GROUP_HEADER_BYTES,
                          .block_bytes = block_bytes};
}

const PackedLayout *packed_layout(DType type);

/* Bytes of one tile of rows of n_cols columns; a multiple of 16. n_cols: multiple of the type's
 * block_len. */
size_t packed_tile_bytes(DType type, int n_cols);
/* ceil(n_rows / 16) */
int packed_n_tiles(int n_rows);

/* Writes columns first_col .. first_col+n-1 of one row (0..15) of a tile from the file's form of
 * those columns; both multiples of the type's block_len (BF16: first_col even). */
void packed_put(DType type, void *tile, int row, int first_col, int n, const void *file);
/* The reverse: exactly the bytes that were put. */
void packed_get(DType type, const void *tile, int row, int first_col, int n, void *file);

/* The codes of one row (0..15) of 32 columns; block: their quants in a record. */
void packed_get_quants(int bits, const uint8_t *block, int row, uint8_t u[BLOCK_COLS]);

/* Thirty-two columns of a tile of a quantized type, taken apart; the meaning of scale and extra
 * hangs on the form: OFFSET scale; MIN scale and min; HALVES scale of the first and second half;
 * HALVES_MIN also each half's min. */
typedef struct PackedBlock {
    uint8_t quants[QUANT_BYTES]; /* [8 groups][16 rows][4]: u */
    float scale[TILE_ROWS], extra[TILE_ROWS];
    float min[2][TILE_ROWS];
} PackedBlock;

/* Block b (columns 32 b ..) of a tile, in plain C. */
void packed_open_block(DType type, const void *tile, int b, PackedBlock *out);

#endif
