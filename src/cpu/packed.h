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
 *
 * d, m and dmin are halves; scales[j][row] is byte j of the row's scales as the file has it.
 *
 * The quants of 32 columns are stored as unsigned numbers (Q8_0: its signed bytes xor 0x80).
 * Columns go in groups of four: group g is columns 4g .. 4g+3, and byte 4 * row + c of a 64-byte
 * vector belongs to column 4g + c of that row, which is what vpdpbusd multiplies. 8 bits: vectors
 * 0..7: group g. 4 bits: vectors 0..3: low nibbles group i, high nibbles group i + 4. 5 bits: as 4
 * bits, then one vector whose bit g is the fifth bit of group g. 6 bits: as 4 bits, then two
 * vectors: bits 2j, 2j+1 of vector p are bits 4, 5 of group 4p + j.
 */
#ifndef WEN_CPU_PACKED_H
#define WEN_CPU_PACKED_H

#include "tensor/dtype.h"

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
    PACKED_PLAIN,  /* F32, F16, BF16: no blocks */
    PACKED_OFFSET, /* scale * isum */
    PACKED_MIN,    /* scale * isum + min * sum(x) */
    PACKED_HALVES  /* scale_0 * isum of the first 16 columns + scale_1 * isum of the others */
} PackedForm;

typedef struct PackedLayout {
    PackedForm form;
    int bits;         /* of a quant */
    int offset;       /* what is subtracted from the unsigned quants */
    int offset_shift; /* offset == 1 << offset_shift; 0 when there is no offset */
    int record_cols;  /* columns of a record */
    int record_bytes;
    int header_bytes; /* of a record, before its quants */
    int block_bytes;  /* the quants of 32 columns */
} PackedLayout;

const PackedLayout *packed_layout(DType type);

/* Bytes of one tile of rows of n_cols columns; a multiple of 32. n_cols: multiple of the type's
 * block_len. */
size_t packed_tile_bytes(DType type, int n_cols);
/* ceil(n_rows / 16) */
int packed_n_tiles(int n_rows);

/* Writes columns first_col .. first_col+n-1 of one row (0..15) of a tile from the file's form of
 * those columns; both multiples of the type's block_len (BF16: first_col even). */
void packed_put(DType type, void *tile, int row, int first_col, int n, const void *file);
/* The reverse: exactly the bytes that were put. */
void packed_get(DType type, const void *tile, int row, int first_col, int n, void *file);

/* Thirty-two columns of a tile of a quantized type, taken apart; the meaning of scale and extra
 * hangs on the form: OFFSET scale; MIN scale and min; HALVES scale of the first and second half. */
typedef struct PackedBlock {
    uint8_t quants[QUANT_BYTES]; /* [8 groups][16 rows][4] */
    float scale[TILE_ROWS], extra[TILE_ROWS];
} PackedBlock;

/* Block b (columns 32 b ..) of a tile, in plain C. */
void packed_open_block(DType type, const void *tile, int b, PackedBlock *out);

#endif
