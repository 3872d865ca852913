/* The oracle: a Qwen model in double precision, the executable form of docs/model.md.
 *
 *   qwen3 MODEL.gguf IDSFILE [--full OUT.f32] [--full64 OUT.f64] [--threads N]
 *         [--SETTING N ...]     (positions.h)
 *
 * Evaluates the ids (a JSON array, or numbers apart) as one sequence from position 0 and writes all
 * logits, [n_ids, n_vocab], row-major. It shares no code with src/ and looks at nothing but the
 * GGUF: what it and the program agree on, two readings of the documents agree on. Bad input ends it
 * with a message; it is for files that the tests made.
 *
 * Order: the file, the element types, the product, the model, the command. */
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

_Noreturn __attribute__((format(printf, 1, 2))) static void die(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "oracle: ");
    vfprintf(stderr, format, args);
    fprintf(stderr, "\n");
    va_end(args);
    exit(1);
}

static void *make(size_t count, size_t size)
{
    void *block;
    if (posix_memalign(&block, 64, (count * size + 64) & ~(size_t)63) != 0)
        die("no memory for %zu times %zu bytes", count, size);
    memset(block, 0, count * size);
    return block;
}

static double *numbers(long rows, long columns)
{
    return make((size_t)rows * (size_t)columns, sizeof(double));
}

/* ---- The file: ggml-org/ggml docs/gguf.md ---- */

typedef struct Tensor {
    char name[64];
    int type;
    long columns, rows, mats; /* columns are contiguous */
    const uint8_t *data;
} Tensor;

typedef struct Key {
    char name[64];
    double number;
    char text[64]; /* the beginning of a string */
} Key;

static struct {
    const uint8_t *data;
    size_t bytes, at;
    long n_keys, n_tensors;
    Key *keys;
    Tensor *tensors;
} file;

static const uint8_t *take(size_t bytes)
{
    if (bytes > file.bytes - file.at)
        die("byte %zu: the file ends", file.at);
    file.at += bytes;
    return file.data + file.at - bytes;
}

static uint64_t take_uint(size_t bytes)
{
    uint64_t value = 0;
    memcpy(&value, take(bytes), bytes);
    return value;
}

static void take_text(char out[64])
{
    const size_t bytes = take_uint(8), kept = bytes < 63 ? bytes : 63;
    memcpy(out, take(bytes), kept);
    out[kept] = 0;
}

static void take_value(Key *key, uint64_t type)
{
    /* u8 i8 u16 i16 u32 i32 f32 bool string array u64 i64 f64 */
    static const size_t size[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    if (type > 12)
        die("byte %zu: no value type %d", file.at, (int)type);
    if (type == 8) {
        take_text(key->text);
    } else if (type == 9) {
        const uint64_t item_type = take_uint(4), n = take_uint(8);
        for (uint64_t i = 0; i < n; i++)
            take_value(key, item_type);
    } else {
        const uint64_t bits = take_uint(size[type]);
        float f32;
        double f64;
        memcpy(&f32, &bits, 4);
        memcpy(&f64, &bits, 8);
        key->number = type == 6 ? (double)f32 : type == 12 ? f64 : (double)bits;
    }
}

static Key *find_key(const char *name)
{
    for (long i = 0; i < file.n_keys; i++)
        if (strcmp(file.keys[i].name, name) == 0)
            return &file.keys[i];
    return NULL;
}

static void open_file(const char *path)
{
    struct stat st;
    const int fd = open(path, O_RDONLY);
    if (fd < 0 || fstat(fd, &st) != 0)
        die("%s: cannot open", path);
    file.bytes = (size_t)st.st_size;
    file.data = mmap(NULL, file.bytes, PROT_READ, MAP_PRIVATE, fd, 0);
    if (file.data == MAP_FAILED || memcmp(take(4), "GGUF", 4) != 0 || take_uint(4) != 3)
        die("%s: not a GGUF of version 3", path);
    file.n_tensors = (long)take_uint(8);
    file.n_keys = (long)take_uint(8);
    file.keys = make((size_t)file.n_keys, sizeof *file.keys);
    file.tensors = make((size_t)file.n_tensors, sizeof *file.tensors);
    for (long i = 0; i < file.n_keys; i++) {
        take_text(file.keys[i].name);
        take_value(&file.keys[i], take_uint(4));
    }
    size_t *offsets = make((size_t)file.n_tensors, sizeof *offsets);
    for (long i = 0; i < file.n_tensors; i++) {
        Tensor *t = &file.tensors[i];
        long sizes[4] = {1, 1, 1, 1};
        take_text(t->name);
        const uint64_t n_dims = take_uint(4);
        for (uint64_t d = 0; d < n_dims && d < 4; d++)
            sizes[d] = (long)take_uint(8);
        t->columns = sizes[0], t->rows = sizes[1], t->mats = sizes[2];
        t->type = (int)take_uint(4);
        offsets[i] = take_uint(8);
    }
    const Key *alignment = find_key("general.alignment");
    const size_t align = alignment ? (size_t)alignment->number : 32;
    for (long i = 0; i < file.n_tensors; i++)
        file.tensors[i].data = file.data + (file.at + align - 1) / align * align + offsets[i];
    free(offsets);
}

static const Tensor *find_tensor(const char *name)
{
    for (long i = 0; i < file.n_tensors; i++)
        if (strcmp(file.tensors[i].name, name) == 0)
            return &file.tensors[i];
    return NULL;
}

/* A layer's tensor; NULL when the file has none. */
static const Tensor *layer_tensor(long l, const char *part)
{
    char name[128];
    snprintf(name, sizeof name, "blk.%ld.%s", l, part);
    return find_tensor(name);
}

/* ---- The element types: docs/formats.md; every block decoded by itself ---- */

static double f32(const uint8_t *p)
{
    float value;
    memcpy(&value, p, 4);
    return (double)value;
}

static double f16(const uint8_t *p)
{
    const int bits = p[0] | p[1] << 8, exponent = bits >> 10 & 31, mantissa = bits & 1023;
    const double size = exponent ? ldexp(1024 + mantissa, exponent - 25) : ldexp(mantissa, -24);
    return bits & 0x8000 ? -size : size;
}

static double bf16(const uint8_t *p) { return f32((uint8_t[]){0, 0, p[0], p[1]}); }

/* Blocks of 32. Low nibbles are the first 16 values, high ones the other 16; qh has fifth bits. */
static void block_q8_0(const uint8_t *b, double *y)
{
    for (int i = 0; i < 32; i++)
        y[i] = f16(b) * (int8_t)b[2 + i];
}

static int nibble(const uint8_t *qs, int i) { return i < 16 ? qs[i] & 15 : qs[i - 16] >> 4; }

static int fifth_bit(const uint8_t *qh, int i) { return (qh[i / 8] >> i % 8 & 1) << 4; }

static void block_q4_0(const uint8_t *b, double *y)
{
    for (int i = 0; i < 32; i++)
        y[i] = f16(b) * (nibble(b + 2, i) - 8);
}

static void block_q4_1(const uint8_t *b, double *y)
{
    for (int i = 0; i < 32; i++)
        y[i] = f16(b) * nibble(b + 4, i) + f16(b + 2);
}

static void block_q5_0(const uint8_t *b, double *y)
{
    for (int i = 0; i < 32; i++)
        y[i] = f16(b) * ((nibble(b + 6, i) | fifth_bit(b + 2, i)) - 16);
}

static void block_q5_1(const uint8_t *b, double *y)
{
    for (int i = 0; i < 32; i++)
        y[i] = f16(b) * (nibble(b + 8, i) | fifth_bit(b + 4, i)) + f16(b + 2);
}

/* Blocks of 256, eight groups of 32, each with a scale and a minimum of six bits: those of groups
 * 0-3 are the low six bits of bytes 0-3 and 4-7; groups 4-7 take low nibble (scale) and high nibble
 * (minimum) of bytes 8-11, and their upper two bits from the top of bytes 0-3 and 4-7. */
static void scale_and_min(const uint8_t *s, int group, int *scale, int *min)
{
    const int j = group & 3;
    *scale = group < 4 ? s[j] & 63 : (s[8 + j] & 15) | s[j] >> 6 << 4;
    *min = group < 4 ? s[4 + j] & 63 : s[8 + j] >> 4 | s[4 + j] >> 6 << 4;
}

/* Groups 2p and 2p+1 are the low and high nibbles of the p-th 32 bytes of qs. In Q5_K, bit g of
 * qh[i] is the fifth bit of value i of group g. */
static void block_q45_k(const uint8_t *b, const uint8_t *qh, const uint8_t *qs, double *y)
{
    for (int i = 0; i < 256; i++) {
        const int group = i / 32, byte = qs[group / 2 * 32 + i % 32];
        int q = group % 2 ? byte >> 4 : byte & 15, scale, min;
        if (qh)
            q |= (qh[i % 32] >> group & 1) << 4;
        scale_and_min(b + 4, group, &scale, &min);
        y[i] = f16(b) * scale * q - f16(b + 2) * min;
    }
}

static void block_q4_k(const uint8_t *b, double *y) { block_q45_k(b, NULL, b + 16, y); }

static void block_q5_k(const uint8_t *b, double *y) { block_q45_k(b, b + 16, b + 48, y); }

/* Two halves of 128, each four groups of 32: low nibbles of 32 bytes, of the next 32, then their
 * high nibbles; qh has two upper bits of each group; a signed scale for every 16 values. */
static void block_q6_k(const uint8_t *b, double *y)
{
    for (int i = 0; i < 256; i++) {
        const int half = i / 128, group = i % 128 / 32, l = i % 32;
        const int low = b[half * 64 + group % 2 * 32 + l] >> (group / 2 * 4) & 15;
        const int high = b[128 + half * 32 + l] >> group * 2 & 3;
        y[i] = f16(b + 208) * (int8_t)b[192 + i / 16] * ((low | high << 4) - 32);
    }
}

/* Two bits of value i: the halves of 128 have 32 bytes each, with four groups of 32 one above the
 * other. */
static int two_bits(const uint8_t *qs, int i)
{
    return qs[i / 128 * 32 + i % 32] >> i % 128 / 32 * 2 & 3;
}

/* A byte for every 16 values: scale below, minimum above. */
static void block_q2_k(const uint8_t *b, double *y)
{
    for (int i = 0; i < 256; i++)
        y[i] =
            f16(b + 80) * (b[i / 16] & 15) * two_bits(b + 16, i) - f16(b + 82) * (b[i / 16] >> 4);
}

/* Bit i / 32 of hmask[i % 32] is the third bit. Sixteen scales of six bits: nibbles of the first
 * eight bytes, low ones first, and above them pairs of bits of the last four. */
static void block_q3_k(const uint8_t *b, double *y)
{
    const uint8_t *s = b + 96;
    for (int i = 0; i < 256; i++) {
        const int g = i / 16, low = g < 8 ? s[g] & 15 : s[g - 8] >> 4;
        const int scale = low + 16 * (s[8 + g % 4] >> g / 4 * 2 & 3) - 32;
        y[i] = f16(b + 108) * scale * (two_bits(b + 32, i) + 4 * (b[i % 32] >> i / 32 & 1) - 4);
    }
}

static double iq4(int code)
{
    static const int values[] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                 1,    13,   25,  38,  53,  69,  89,  113};
    return values[code];
}

static void block_iq4_nl(const uint8_t *b, double *y)
{
    for (int i = 0; i < 32; i++)
        y[i] = f16(b) * iq4(nibble(b + 2, i));
}

static void block_iq4_xs(const uint8_t *b, double *y)
{
    for (int i = 0; i < 256; i++) {
        const int g = i / 32, low = b[4 + g / 2] >> g % 2 * 4 & 15;
        const int high = b[2 + g / 4] >> g % 4 * 2 & 3;
        y[i] = f16(b) * (low + 16 * high - 32) * iq4(nibble(b + 8 + 16 * g, i % 32));
    }
}

/* A power of two, and numbers of a sign, two bits of exponent and one of mantissa. */
static void block_mxfp4(const uint8_t *b, double *y)
{
    static const double sizes[] = {0, 0.5, 1, 1.5, 2, 3, 4, 6};
    for (int i = 0; i < 32; i++) {
        const int code = nibble(b + 1, i);
        y[i] = ldexp(code & 8 ? -sizes[code & 7] : sizes[code], b[0] - 127);
    }
}

static void block_f32(const uint8_t *b, double *y) { *y = f32(b); }
static void block_f16(const uint8_t *b, double *y) { *y = f16(b); }
static void block_bf16(const uint8_t *b, double *y) { *y = bf16(b); }

static const struct {
    long values, bytes;
    void (*decode)(const uint8_t *block, double *values);
} element_types[] = {
    [0] = {1, 4, block_f32},       [1] = {1, 2, block_f16},       [30] = {1, 2, block_bf16},
    [8] = {32, 34, block_q8_0},    [2] = {32, 18, block_q4_0},    [3] = {32, 20, block_q4_1},
    [6] = {32, 22, block_q5_0},    [7] = {32, 24, block_q5_1},    [12] = {256, 144, block_q4_k},
    [13] = {256, 176, block_q5_k}, [14] = {256, 210, block_q6_k}, [10] = {256, 84, block_q2_k},
    [11] = {256, 110, block_q3_k}, [20] = {32, 18, block_iq4_nl}, [23] = {256, 136, block_iq4_xs},
    [39] = {32, 17, block_mxfp4},
};

/* One row, counted through all matrices of a bank. */
static void read_row(const Tensor *t, long row, double *y)
{
    const long n_types = sizeof element_types / sizeof *element_types;
    if (t->type < 0 || t->type >= n_types || !element_types[t->type].decode)
        die("%s: element type %d is not known here", t->name, t->type);
    const long values = element_types[t->type].values, bytes = element_types[t->type].bytes;
    const uint8_t *block = t->data + row * (t->columns / values * bytes);
    for (long i = 0; i < t->columns; i += values, block += bytes)
        element_types[t->type].decode(block, y + i);
}

static double *read_vector(const Tensor *t, const char *what)
{
    if (!t)
        die("no %s", what);
    double *y = numbers(1, t->columns);
    read_row(t, 0, y);
    return y;
}

/* ---- The product: y[t][r] = sum_i w[r][i] x[t][i] ---- */

static int n_threads = 1;

typedef void Task(long index, void *context);
static struct {
    Task *run;
    void *context;
    long n;
    atomic_long next;
} job;

static void *work(void *unused)
{
    for (long i; (i = atomic_fetch_add(&job.next, 1)) < job.n;)
        job.run(i, job.context);
    return unused;
}

static void in_parallel(long n, Task *run, void *context)
{
    pthread_t threads[64];
    job.run = run, job.context = context, job.n = n;
    atomic_store(&job.next, 0);
    for (int i = 1; i < n_threads; i++)
        if (pthread_create(&threads[i], NULL, work, NULL) != 0)
            die("cannot start a thread");
    work(NULL);
    for (int i = 1; i < n_threads; i++)
        pthread_join(threads[i], NULL);
}

/* Twelve tokens times four rows at a time: x [k][12], w [k][4]. */
typedef double Lanes __attribute__((vector_size(32)));
enum { TOKENS = 12, ROWS = 4, BLOCK = 32 };

static inline __attribute__((always_inline)) void tile_body(const double *x, const double *w,
                                                            long k, Lanes sums[ROWS][TOKENS / 4])
{
    Lanes s[ROWS][TOKENS / 4] = {0};
    for (long i = 0; i < k; i++) {
        const Lanes *xi = (const Lanes *)(const void *)(x + TOKENS * i);
        for (int r = 0; r < ROWS; r++)
            for (int j = 0; j < TOKENS / 4; j++)
                s[r][j] += w[ROWS * i + r] * xi[j];
    }
    memcpy(sums, s, sizeof s);
}

static void tile(const double *x, const double *w, long k, Lanes sums[ROWS][TOKENS / 4])
{
    tile_body(x, w, k, sums);
}

#ifdef __x86_64__
__attribute__((target("avx2"))) static void tile_avx2(const double *x, const double *w, long k,
                                                      Lanes sums[ROWS][TOKENS / 4])
{
    tile_body(x, w, k, sums);
}
#endif

static void any_tile(const double *x, const double *w, long k, Lanes sums[ROWS][TOKENS / 4])
{
#ifdef __x86_64__
    if (__builtin_cpu_supports("avx2")) {
        tile_avx2(x, w, k, sums);
        return;
    }
#endif
    tile(x, w, k, sums);
}

typedef struct Product {
    const Tensor *w;
    long mat, n_tokens;
    const double *packed; /* [tiles][columns][TOKENS] */
    double *y;            /* [n_tokens, rows] */
} Product;

static void product_block(long block, void *context)
{
    const Product *p = context;
    const long k = p->w->columns, n_rows = p->w->rows, first = block * BLOCK;
    double *row = numbers(1, k), *w = numbers(BLOCK, k); /* w: [group][k][ROWS] */
    for (long r = first; r < first + BLOCK && r < n_rows; r++) {
        read_row(p->w, p->mat * n_rows + r, row);
        for (long i = 0; i < k; i++)
            w[(r - first) / ROWS * ROWS * k + i * ROWS + (r - first) % ROWS] = row[i];
    }
    for (long t = 0; t < p->n_tokens; t += TOKENS)
        for (long r = first; r < first + BLOCK && r < n_rows; r += ROWS) {
            Lanes sums[ROWS][TOKENS / 4];
            any_tile(p->packed + t * k, w + (r - first) * k, k, sums);
            for (long i = 0; i < ROWS && r + i < n_rows; i++)
                for (long j = 0; j < TOKENS && t + j < p->n_tokens; j++)
                    p->y[(t + j) * n_rows + r + i] = sums[i][j / 4][j % 4];
        }
    free(w);
    free(row);
}

/* x [n, columns], y [n, rows]; mat: which matrix of a bank. */
static void product(const Tensor *w, long mat, const double *x, long n, double *y)
{
    const long k = w->columns, n_tiles = (n + TOKENS - 1) / TOKENS;
    double *packed = numbers(n_tiles * TOKENS, k);
    for (long t = 0; t < n; t++)
        for (long i = 0; i < k; i++)
            packed[(t / TOKENS * k + i) * TOKENS + t % TOKENS] = x[t * k + i];
    Product p = {w, mat, n, packed, y};
    in_parallel((w->rows + BLOCK - 1) / BLOCK, product_block, &p);
    free(packed);
}

/* ---- The model: docs/model.md, section by section ---- */

static struct {
    char family[64]; /* qwen2, qwen3, qwen3moe */
    long n_layers, d_model, n_heads, n_kv_heads, head_dim, n_vocab, n_experts, n_used;
    double eps;
    double *frequency; /* [head_dim / 2] radians a position */
    double rope_gain;  /* of cosines and sines */
} m;

enum { REQUIRED = -1 };

static double setting(const char *name, double otherwise)
{
    char key[64];
    snprintf(key, sizeof key, "%.20s.%s", m.family, name);
    const Key *found = find_key(key);
    if (!found && otherwise == REQUIRED)
        die("no key %s", key);
    return found ? found->number : otherwise;
}

/* Rotary frequencies; with YaRN, slow ones are divided by the factor, fast ones kept. */
static void set_frequencies(void)
{
    const double base = setting("rope.freq_base", 10000), d = (double)m.head_dim;
    const double factor = setting("rope.scaling.factor", 1);
    char key[64];
    snprintf(key, sizeof key, "%.20s.rope.scaling.type", m.family);
    const Key *type = find_key(key);
    const bool is_yarn = type && strcmp(type->text, "yarn") == 0;
    if (type && !is_yarn)
        die("rope scaling %s is not known here", type->text);
    m.frequency = numbers(1, m.head_dim / 2);
    m.rope_gain = is_yarn ? (0.1 * log(factor) + 1) * setting("rope.scaling.attn_factor", 1) : 1;
    double low = 0, high = 0;
    if (is_yarn) {
        /* The dimension that turns r times over the original context. */
        const double context = setting("rope.scaling.original_context_length", REQUIRED);
        const double fast = setting("rope.scaling.yarn_beta_fast", 32);
        const double slow = setting("rope.scaling.yarn_beta_slow", 1);
        low = fmax(floor(d * log(context / (fast * 2 * M_PI)) / (2 * log(base))), 0);
        high = fmin(ceil(d * log(context / (slow * 2 * M_PI)) / (2 * log(base))), d - 1);
    }
    for (long j = 0; j < m.head_dim / 2; j++) {
        const double f = pow(base, -2.0 * (double)j / d);
        const double ramp = fmin(fmax(((double)j - low) / fmax(high - low, 0.001), 0), 1);
        m.frequency[j] = is_yarn ? f / factor * ramp + f * (1 - ramp) : f;
    }
}

static void read_settings(void)
{
    const Key *family = find_key("general.architecture");
    const Tensor *embedding = find_tensor("token_embd.weight");
    if (!family || !embedding)
        die("no general.architecture or no token_embd.weight");
    strcpy(m.family, family->text);
    if (strcmp(m.family, "qwen2") && strcmp(m.family, "qwen3") && strcmp(m.family, "qwen3moe"))
        die("architecture %s is not known here", m.family);
    m.n_layers = (long)setting("block_count", REQUIRED);
    m.d_model = embedding->columns;
    m.n_vocab = embedding->rows;
    m.n_heads = (long)setting("attention.head_count", REQUIRED);
    m.n_kv_heads = (long)setting("attention.head_count_kv", REQUIRED);
    m.head_dim = (long)setting("attention.key_length", (double)(m.d_model / m.n_heads));
    if (m.head_dim % ROWS != 0)
        die("heads of %ld are not handled here", m.head_dim);
    m.n_experts = (long)setting("expert_count", 0);
    m.n_used = (long)setting("expert_used_count", 0);
    m.eps = setting("attention.layer_norm_rms_epsilon", REQUIRED);
    set_frequencies();
}

/* y = x / sqrt(mean(x^2) + eps) * w, each of n rows of d. y may be x. */
static void rms_norm(const double *x, const double *w, long n, long d, double *y)
{
    for (long t = 0; t < n; t++) {
        double sum = 0;
        for (long i = 0; i < d; i++)
            sum += x[t * d + i] * x[t * d + i];
        const double scale = 1 / sqrt(sum / (double)d + m.eps);
        for (long i = 0; i < d; i++)
            y[t * d + i] = x[t * d + i] * scale * w[i];
    }
}

/* Turns the pair (j, j + head_dim/2) of every head by position * frequency[j]. */
static void rope(double *x, long n, long n_heads)
{
    const long half = m.head_dim / 2;
    for (long t = 0; t < n; t++)
        for (long j = 0; j < half; j++) {
            const double angle = (double)t * m.frequency[j];
            const double c = cos(angle) * m.rope_gain, s = sin(angle) * m.rope_gain;
            for (long h = 0; h < n_heads; h++) {
                double *head = x + (t * n_heads + h) * m.head_dim;
                const double a = head[j], b = head[j + half];
                head[j] = a * c - b * s;
                head[j + half] = b * c + a * s;
            }
        }
}

/* Queries, keys or values of a layer: the product, then bias (Qwen2) and norm (Qwen3) if there. */
static double *project(long l, char which, const double *h, long n, long n_heads)
{
    char weight[32], bias[32], norm[32];
    snprintf(weight, sizeof weight, "attn_%c.weight", which);
    snprintf(bias, sizeof bias, "attn_%c.bias", which);
    snprintf(norm, sizeof norm, "attn_%c_norm.weight", which);
    const Tensor *w = layer_tensor(l, weight), *b = layer_tensor(l, bias);
    const Tensor *g = layer_tensor(l, norm);
    if (!w || w->rows != n_heads * m.head_dim)
        die("blk.%ld.%s is missing or misshapen", l, weight);
    double *y = numbers(n, w->rows);
    product(w, 0, h, n, y);
    if (b) {
        double *add = read_vector(b, bias);
        for (long i = 0; i < n * w->rows; i++)
            y[i] += add[i % w->rows];
        free(add);
    }
    if (g) {
        double *scale = read_vector(g, norm);
        rms_norm(y, scale, n * n_heads, m.head_dim, y);
        free(scale);
    }
    return y;
}

/* Of n numbers `step` apart, in place. */
static void softmax(double *p, long n, long step)
{
    double largest = -HUGE_VAL, sum = 0;
    for (long s = 0; s < n; s++)
        largest = fmax(largest, p[s * step]);
    for (long s = 0; s < n; s++)
        sum += p[s * step] = exp(p[s * step] - largest);
    for (long s = 0; s < n; s++)
        p[s * step] /= sum;
}

typedef struct Attention {
    long n, layer;
    const double *q, *k, *v; /* [n, heads, head_dim] */
    double *out;
} Attention;

#include "positions.h"

/* One head, TOKENS queries at a time: p[s][j] is the score, then the share, of position s for the
 * j-th of them; positions after the query's own have none. */
static void attention_head(long h, void *context)
{
    const Attention *a = context;
    const long d = m.head_dim, kv = h / (m.n_heads / m.n_kv_heads);
    const long n = (a->n + TOKENS - 1) / TOKENS * TOKENS;
    double *k = numbers(n, d), *v = numbers(n, d); /* [n/4][d][4] and [d/4][n][4] */
    double *q = numbers(d, TOKENS), *p = numbers(n, TOKENS);
    Lanes sums[ROWS][TOKENS / 4];
    for (long s = 0; s < a->n; s++)
        for (long i = 0; i < d; i++) {
            const long from = (s * m.n_kv_heads + kv) * d + i;
            k[(s / ROWS * d + i) * ROWS + s % ROWS] = a->k[from];
            v[(i / ROWS * n + s) * ROWS + i % ROWS] = a->v[from];
        }
    for (long t = 0; t < a->n; t += TOKENS) {
        const long some = a->n - t < TOKENS ? a->n - t : TOKENS, n_keys = t + TOKENS;
        for (long j = 0; j < some; j++)
            for (long i = 0; i < d; i++)
                q[i * TOKENS + j] = a->q[((t + j) * m.n_heads + h) * d + i] / sqrt((double)d);
        for (long s = 0; s < n_keys; s += ROWS) {
            any_tile(q, k + s * d, d, sums);
            for (long i = 0; i < ROWS; i++)
                for (long j = 0; j < TOKENS; j++)
                    p[(s + i) * TOKENS + j] = s + i <= t + j ? sums[i][j / 4][j % 4] : -HUGE_VAL;
        }
        for (long j = 0; j < some; j++)
            softmax(p + j, n_keys, TOKENS);
        for (long i = 0; i < d; i++) {
            if (i % ROWS == 0)
                any_tile(p, v + i * n, n_keys, sums);
            for (long j = 0; j < some; j++)
                a->out[((t + j) * m.n_heads + h) * d + i] = sums[i % ROWS][j / 4][j % 4];
        }
    }
    free(p), free(q), free(v), free(k);
}

/* x += Wo Attention(RMSNorm(x)) */
static void attention_block(long l, double *x, long n)
{
    double *norm = read_vector(layer_tensor(l, "attn_norm.weight"), "attn_norm");
    double *h = numbers(n, m.d_model), *mixed = numbers(n, m.n_heads * m.head_dim);
    rms_norm(x, norm, n, m.d_model, h);
    double *q = project(l, 'q', h, n, m.n_heads);
    double *k = project(l, 'k', h, n, m.n_kv_heads);
    double *v = project(l, 'v', h, n, m.n_kv_heads);
    Attention a = {n, l, q, k, v, mixed};
    if (how.window + how.linear + how.ntk + how.dynamic + how.qwen_ntk + how.logn + how.chunk > 0) {
        if (!cosines)
            set_turns(n);
        in_parallel(m.n_heads, any_attention_head, &a);
    } else {
        rope(q, n, m.n_heads);
        rope(k, n, m.n_kv_heads);
        in_parallel(m.n_heads, attention_head, &a);
    }
    const Tensor *w = layer_tensor(l, "attn_output.weight");
    if (!w || w->rows != m.d_model || w->columns != m.n_heads * m.head_dim)
        die("blk.%ld.attn_output.weight is missing or misshapen", l);
    product(w, 0, mixed, n, h);
    for (long i = 0; i < n * m.d_model; i++)
        x[i] += h[i];
    free(v), free(k), free(q), free(mixed), free(h), free(norm);
}

/* Wd (silu(Wg h) * Wu h), with matrix `mat` of each; names: "ffn_%s.weight" or "ffn_%s_exps.weight"
 */
static void swiglu(long l, const char *suffix, long mat, const double *h, long n, double *y)
{
    const Tensor *w[3];
    static const char *const parts[] = {"gate", "up", "down"};
    for (int i = 0; i < 3; i++) {
        char part[64];
        snprintf(part, sizeof part, "ffn_%s%s.weight", parts[i], suffix);
        w[i] = layer_tensor(l, part);
        if (!w[i])
            die("no blk.%ld.%s", l, part);
    }
    const long d_ff = w[0]->rows;
    double *gate = numbers(n, d_ff), *up = numbers(n, d_ff);
    product(w[0], mat, h, n, gate);
    product(w[1], mat, h, n, up);
    for (long i = 0; i < n * d_ff; i++)
        gate[i] = gate[i] / (1 + exp(-gate[i])) * up[i];
    product(w[2], mat, gate, n, y);
    free(up), free(gate);
}

/* The n_used experts of the largest router logits (lowest index on ties), weighted by a softmax
 * over just those: the same as a softmax over all, cut and divided by its sum. */
static void route(const double *logits, double *weights)
{
    double sum = 0, largest = -HUGE_VAL;
    memset(weights, 0, (size_t)m.n_experts * sizeof *weights);
    for (long e = 0; e < m.n_experts; e++)
        largest = fmax(largest, logits[e]);
    for (long used = 0; used < m.n_used; used++) {
        long best = -1;
        for (long e = 0; e < m.n_experts; e++)
            if (weights[e] == 0 && (best < 0 || logits[e] > logits[best]))
                best = e;
        sum += weights[best] = exp(logits[best] - largest);
    }
    for (long e = 0; e < m.n_experts; e++)
        weights[e] /= sum;
}

static void mixture(long l, const double *h, long n, double *y)
{
    const long d = m.d_model;
    const Tensor *router = layer_tensor(l, "ffn_gate_inp.weight");
    double *logits = numbers(n, m.n_experts), *weights = numbers(n, m.n_experts);
    double *some_h = numbers(n, d), *some_y = numbers(n, d);
    product(router, 0, h, n, logits);
    for (long t = 0; t < n; t++)
        route(logits + t * m.n_experts, weights + t * m.n_experts);
    memset(y, 0, (size_t)(n * d) * sizeof *y);
    for (long e = 0; e < m.n_experts; e++) {
        long some = 0;
        for (long t = 0; t < n; t++)
            if (weights[t * m.n_experts + e] > 0)
                memcpy(some_h + some++ * d, h + t * d, (size_t)d * sizeof *h);
        swiglu(l, "_exps", e, some_h, some, some_y);
        some = 0;
        for (long t = 0; t < n; t++) {
            const double weight = weights[t * m.n_experts + e];
            for (long i = 0; weight > 0 && i < d; i++)
                y[t * d + i] += weight * some_y[some * d + i];
            some += weight > 0;
        }
    }
    free(some_y), free(some_h), free(weights), free(logits);
}

/* x += FFN(RMSNorm(x)) */
static void ffn_block(long l, double *x, long n)
{
    double *norm = read_vector(layer_tensor(l, "ffn_norm.weight"), "ffn_norm");
    double *h = numbers(n, m.d_model), *y = numbers(n, m.d_model);
    rms_norm(x, norm, n, m.d_model, h);
    if (layer_tensor(l, "ffn_gate_inp.weight"))
        mixture(l, h, n, y);
    else
        swiglu(l, "", 0, h, n, y);
    for (long i = 0; i < n * m.d_model; i++)
        x[i] += y[i];
    free(y), free(h), free(norm);
}

/* The normalized final hidden states [n, d_model] of one sequence. */
static double *hidden_states(const long *ids, long n)
{
    const Tensor *embedding = find_tensor("token_embd.weight");
    double *x = numbers(n, m.d_model);
    for (long t = 0; t < n; t++) {
        if (ids[t] >= m.n_vocab)
            die("id %ld; the model has %ld", ids[t], m.n_vocab);
        read_row(embedding, ids[t], x + t * m.d_model);
    }
    for (long l = 0; l < m.n_layers; l++) {
        attention_block(l, x, n);
        ffn_block(l, x, n);
    }
    double *norm = read_vector(find_tensor("output_norm.weight"), "output_norm.weight");
    rms_norm(x, norm, n, m.d_model, x);
    free(norm);
    return x;
}

/* ---- The command ---- */

static long *read_ids(const char *path, long *n)
{
    FILE *in = fopen(path, "r");
    long *ids = NULL, id, capacity = 0;
    *n = 0;
    if (!in)
        die("%s: cannot open", path);
    for (int c; (c = getc(in)) != EOF;) {
        if (c < '0' || c > '9')
            continue;
        ungetc(c, in);
        if (fscanf(in, "%ld", &id) != 1)
            die("%s: not ids", path);
        if (*n == capacity) {
            capacity = capacity * 2 + 1024;
            ids = realloc(ids, (size_t)capacity * sizeof *ids);
            if (!ids)
                die("no memory for ids");
        }
        ids[(*n)++] = id;
    }
    fclose(in);
    if (*n == 0)
        die("%s: no ids", path);
    return ids;
}

static FILE *open_output(const char *path)
{
    FILE *out = path ? fopen(path, "wb") : NULL;
    if (path && !out)
        die("%s: cannot write", path);
    return out;
}

/* Some tokens at a time, so that the memory stays small. */
static void write_logits(const double *x, long n, FILE *out32, FILE *out64)
{
    enum { AT_ONCE = 240 };
    const Tensor *head = find_tensor("output.weight");
    if (!head) /* tied */
        head = find_tensor("token_embd.weight");
    double *logits = numbers(AT_ONCE, head->rows);
    float *rounded = make((size_t)head->rows, sizeof *rounded);
    for (long t = 0; t < n; t += AT_ONCE) {
        const long some = n - t < AT_ONCE ? n - t : AT_ONCE;
        product(head, 0, x + t * m.d_model, some, logits);
        for (long i = 0; i < some; i++) {
            const double *row = logits + i * head->rows;
            for (long j = 0; j < head->rows; j++)
                rounded[j] = (float)row[j];
            if ((out32 && fwrite(rounded, 4, (size_t)head->rows, out32) != (size_t)head->rows) ||
                (out64 && fwrite(row, 8, (size_t)head->rows, out64) != (size_t)head->rows))
                die("cannot write logits");
        }
    }
    free(rounded), free(logits);
    if ((out32 && fclose(out32) != 0) || (out64 && fclose(out64) != 0))
        die("cannot write logits");
}

int main(int argc, char **argv)
{
    const char *path32 = NULL, *path64 = NULL;
    long n, processors = sysconf(_SC_NPROCESSORS_ONLN);
    for (int i = 3; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--full") == 0)
            path32 = argv[i + 1];
        else if (strcmp(argv[i], "--full64") == 0)
            path64 = argv[i + 1];
        else if (strcmp(argv[i], "--threads") == 0)
            processors = atol(argv[i + 1]);
        else if (how_named(argv[i]))
            *how_named(argv[i]) = atof(argv[i + 1]);
        else
            argc = 0;
    }
    if (argc < 3 || argc % 2 == 0) {
        fprintf(stderr, "usage: qwen3 MODEL.gguf IDSFILE [--full OUT.f32] [--full64 OUT.f64] "
                        "[--threads N] [--SETTING N ...]\n");
        return 2;
    }
    n_threads = processors < 1 ? 1 : processors > 64 ? 64 : (int)processors;
    open_file(argv[1]);
    read_settings();
    long *ids = read_ids(argv[2], &n);
    FILE *out32 = open_output(path32), *out64 = open_output(path64);
    double *x = hidden_states(ids, n);
    write_logits(x, n, out32, out64);
    fprintf(stderr, "%ld %ld\n", n, m.n_vocab);
    free(x), free(ids), free(m.frequency), free(cosines), free(sines), free(file.keys),
        free(file.tensors);
    return 0;
}
