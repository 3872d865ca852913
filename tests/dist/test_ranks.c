/* Several ranks give the bits of one: gradients, norms and weights, whatever the model, the
 * optimizer, the type of compute, the number of ranks, the micro-batches and what is divided. */
#include "support.h"

#include "base/mem.h"
#include "base/rng.h"
#include "train/gradient.h"
#include "train/optim.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

/* An embedding of more than one piece of squares, so that a part begins inside it. */
static const char dense[] =
    "{\"model_type\":\"qwen3\",\"hidden_size\":32,\"num_hidden_layers\":2,\"vocab_size\":1100,"
    "\"num_attention_heads\":4,\"num_key_value_heads\":2,\"head_dim\":8,\"intermediate_size\":48,"
    "\"max_position_embeddings\":256,\"rms_norm_eps\":1e-6,\"rope_theta\":10000.0,"
    "\"tie_word_embeddings\":true}";
static const char untied[] =
    "{\"model_type\":\"qwen3\",\"hidden_size\":32,\"num_hidden_layers\":2,\"vocab_size\":300,"
    "\"num_attention_heads\":4,\"num_key_value_heads\":2,\"head_dim\":8,\"intermediate_size\":48,"
    "\"max_position_embeddings\":256,\"rms_norm_eps\":1e-6,\"rope_theta\":10000.0,"
    "\"tie_word_embeddings\":false}";
static const char mixture[] =
    "{\"model_type\":\"qwen3_moe\",\"hidden_size\":32,\"num_hidden_layers\":2,\"vocab_size\":300,"
    "\"num_attention_heads\":4,\"num_key_value_heads\":2,\"head_dim\":8,\"intermediate_size\":48,"
    "\"num_experts\":8,\"num_experts_per_tok\":2,\"moe_intermediate_size\":24,"
    "\"norm_topk_prob\":true,\"decoder_sparse_step\":1,\"mlp_only_layers\":[],"
    "\"max_position_embeddings\":256,\"rms_norm_eps\":1e-6,\"rope_theta\":10000.0,"
    "\"tie_word_embeddings\":true}";

enum { ROWS = 8, ROW_TOKENS = 14, STEPS = 3, GRAINS = 4 };

/* Rows of two documents, of odd and even lengths, some tokens not scored; another batch each step.
 */
typedef struct RowsText {
    int row_start[ROWS + 1], doc_start[2 * ROWS + 1];
    int32_t ids[ROWS * ROW_TOKENS], targets[ROWS * ROW_TOKENS];
    float weights[ROWS * ROW_TOKENS];
} RowsText;

static Rows make_rows(RowsText *text, int step)
{
    Rng rng = {(uint64_t)step + 1};
    int n = 0;
    for (int r = 0; r < ROWS; r++) {
        text->row_start[r] = 2 * r;
        text->doc_start[2 * r] = n;
        text->doc_start[2 * r + 1] = n + 5 + r % 3;
        n += ROW_TOKENS - r % 2;
    }
    text->row_start[ROWS] = 2 * ROWS;
    text->doc_start[2 * ROWS] = n;
    for (int i = 0; i < n; i++) {
        text->ids[i] = (int32_t)rng_below(&rng, 300);
        text->targets[i] = (int32_t)rng_below(&rng, 300);
        text->weights[i] = rng_below(&rng, 4) == 0 ? 0.0f : 1.0f + (float)(i % 2) * 0.5f;
    }
    return (Rows){ROWS, text->row_start, text->doc_start, text->ids, text->targets, text->weights};
}

typedef struct Case {
    const char *model;
    DType compute;
    OptimKind optimizer;
    int ranks, micro_rows;
    ZeroStage zero;
    bool divides_experts;
    /* Out: what one rank saw. */
    float *masters; /* [size] */
    size_t size;
    GradientReport gradient[STEPS];
    OptimReport optim[STEPS];
} Case;

/* Asserts of cmocka jump out of the thread they run on, so ranks report. */
static bool differ(Error *err, int rank, int step, const char *what)
{
    return error_set(err, ERROR_FORMAT, "rank %d, step %d: %s differs", rank, step, what);
}

static bool train(void *context, Backend *b, Error *err)
{
    Case *c = context;
    json_t *json = json_loads(c->model, 0, NULL);
    Config config;
    Params params;
    Optim optim;
    RowsText *text = mem_alloc(sizeof *text);
    const OptimOptions options = {c->optimizer, 0.9, 0.95, 1e-8, 0.1, 0.5, 0.95, 0};
    const int n_parts = c->zero == ZERO_NONE ? 1 : b->n_ranks;
    if (!config_read(&config, json, err) ||
        !params_open(&params, &config, b, c->compute, c->divides_experts, NULL, err) ||
        !optim_open(&optim, &params, &options, n_parts, err))
        return false;
    const GradientOptions how = {.grains = GRAINS,
                                 .micro_rows = c->micro_rows,
                                 .row_tokens = ROW_TOKENS,
                                 .zero = n_parts > 1 ? c->zero : ZERO_NONE,
                                 .balance = 0.01f};
    Gradient *gradient = gradient_open(&params, &optim.shards, &how, err);
    if (!gradient)
        return false;
    float *masters = mem_alloc(sizeof *masters * params.size);
    bool ok = params_init(&params, 0.1, 5, masters, err);
    optim_set_masters(&optim, masters);
    params_publish(&params, masters);
    for (int step = 0; ok && step < STEPS; step++) {
        const Rows rows = make_rows(text, step);
        const float *part;
        GradientReport report;
        OptimReport optim_report;
        ok = gradient_batch(gradient, &rows, NULL, &part, &report, err) &&
             optim_step(&optim, part, gradient_memory(gradient), 0.01, &optim_report, err);
        if (b->rank == 0) {
            c->gradient[step] = report;
            c->optim[step] = optim_report;
        }
        b->barrier(b);
        if (ok && memcmp(&report, &c->gradient[step], sizeof report) != 0)
            ok = differ(err, b->rank, step, "the report");
        if (ok && optim_report.grad_norm != c->optim[step].grad_norm)
            ok = differ(err, b->rank, step, "the norm");
        b->barrier(b);
    }
    const float *whole = optim_masters(&optim, gradient_memory(gradient));
    if (b->rank == 0) {
        memcpy(masters, whole, sizeof *masters * params.size);
        c->masters = masters;
        c->size = params.size;
    }
    b->barrier(b);
    if (ok && memcmp(whole, c->masters, sizeof *whole * params.size) != 0)
        ok = differ(err, b->rank, STEPS, "the masters");
    b->barrier(b);
    if (b->rank != 0)
        mem_free(masters);
    gradient_close(gradient);
    optim_close(&optim);
    params_close(&params);
    json_decref(json);
    mem_free(text);
    return ok;
}

static void run_case(Case *c)
{
    Error err = {0};
    if (!backend_run_ranks("cpu", c->ranks, c->ranks, train, c, &err))
        fail_msg("%d ranks, zero %d, experts divided %d: %s", c->ranks, c->zero, c->divides_experts,
                 err.message);
}

/* One rank, and then each way to divide. */
static void check(const char *model, DType compute, OptimKind optimizer)
{
    Case one = {.model = model, .compute = compute, .optimizer = optimizer, .ranks = 1};
    one.micro_rows = 2;
    run_case(&one);
    assert_true(one.gradient[0].loss > 4 && one.optim[0].grad_norm > 0.5); /* it is clipped */
    static const struct {
        int ranks, micro_rows;
        ZeroStage zero;
        bool divides_experts;
    } ways[] = {
        {1, 1, ZERO_GRADIENTS, true}, {2, 2, ZERO_NONE, false},     {2, 1, ZERO_OPTIMIZER, false},
        {2, 2, ZERO_GRADIENTS, true}, {4, 2, ZERO_OPTIMIZER, true}, {4, 1, ZERO_GRADIENTS, false},
        {4, 1, ZERO_NONE, true},
    };
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        Case other = {.model = model, .compute = compute, .optimizer = optimizer};
        other.ranks = ways[i].ranks;
        other.micro_rows = ways[i].micro_rows;
        other.zero = ways[i].zero;
        other.divides_experts = ways[i].divides_experts;
        run_case(&other);
        for (int step = 0; step < STEPS; step++)
            if (memcmp(&one.gradient[step], &other.gradient[step], sizeof one.gradient[0]) != 0 ||
                one.optim[step].grad_norm != other.optim[step].grad_norm)
                fail_msg(
                    "%d ranks, zero %d, experts divided %d, step %d: loss %.17g, not %.17g; norm "
                    "%.17g, not %.17g",
                    other.ranks, other.zero, other.divides_experts, step, other.gradient[step].loss,
                    one.gradient[step].loss, other.optim[step].grad_norm,
                    one.optim[step].grad_norm);
        assert_memory_equal(one.masters, other.masters, sizeof(float) * one.size);
        mem_free(other.masters);
    }
    mem_free(one.masters);
}

static void dense_adamw(void **state)
{
    (void)state;
    check(dense, DTYPE_F32, OPTIM_ADAMW);
    check(dense, DTYPE_BF16, OPTIM_ADAMW);
}

static void dense_muon(void **state)
{
    (void)state;
    check(dense, DTYPE_F32, OPTIM_MUON);
}

static void untied_muon(void **state)
{
    (void)state;
    check(untied, DTYPE_BF16, OPTIM_MUON);
}

static void untied_adamw(void **state)
{
    (void)state;
    check(untied, DTYPE_F32, OPTIM_ADAMW);
}

static void mixture_adamw(void **state)
{
    (void)state;
    check(mixture, DTYPE_F32, OPTIM_ADAMW);
    check(mixture, DTYPE_BF16, OPTIM_ADAMW);
}

static void mixture_muon(void **state)
{
    (void)state;
    check(mixture, DTYPE_F32, OPTIM_MUON);
}

/* ---- How arrays are divided -------------------------------------------------------------------
 */

static bool is_matrix(const Param *p) { return p->weight != NULL; }

static bool open_params(Params *params, const char *model, Backend *b)
{
    Error err = {0};
    json_t *json = json_loads(model, 0, NULL);
    Config config;
    const bool ok = config_read(&config, json, &err) &&
                    params_open(params, &config, b, DTYPE_F32, false, NULL, &err);
    json_decref(json);
    return ok;
}

/* Whether a part may begin at `at`. */
static bool may_begin(const Params *p, size_t at, bool keeps_whole)
{
    for (int i = 0; i < p->n; i++) {
        const Param *param = &p->items[i];
        const size_t one = (size_t)param->n_rows * (size_t)param->n_cols;
        for (int mat = 0; mat < param->n_mats; mat++) {
            const size_t start = param->offset + (size_t)mat * one;
            if (at == start)
                return true;
            if (at > start && at < start + one)
                return !(keeps_whole && is_matrix(param)) && (at - start) % SQUARES_PIECE == 0;
        }
    }
    return at == p->size;
}

static bool divide(void *context, Backend *b, Error *err)
{
    const char *const *models = context;
    Params params;
    Shards s;
    for (int i = 0; i < 2; i++)
        for (int keeps_whole = 0; keeps_whole < 2; keeps_whole++) {
            if (!open_params(&params, models[i], b) ||
                !shards_open(&s, &params, b->n_ranks, keeps_whole ? is_matrix : NULL, err))
                return false;
            size_t most = 0;
            for (int r = 0; r < s.n; r++) {
                const size_t size = s.cuts[r + 1] - s.cuts[r];
                most = size > most ? size : most;
                if (s.cuts[r + 1] < s.cuts[r] || !may_begin(&params, s.cuts[r], keeps_whole))
                    return error_set(err, ERROR_FORMAT, "part %d begins at %zu", r, s.cuts[r]);
            }
            if (s.cuts[0] != 0 || s.cuts[s.n] != params.size)
                return error_set(err, ERROR_FORMAT, "parts do not cover the array");
            /* off by half a step at both ends at most */
            if (!keeps_whole && most > params.size / (size_t)s.n + SQUARES_PIECE)
                return error_set(err, ERROR_FORMAT, "a part of %zu of %zu", most, params.size);
            shards_close(&s);
            params_close(&params);
        }
    return true;
}

static void parts_begin_where_they_may(void **state)
{
    (void)state;
    const char *models[] = {dense, mixture};
    for (int ranks = 1; ranks <= 8; ranks++) {
        Error err = {0};
        if (!backend_run_ranks("cpu", ranks, ranks, divide, (void *)models, &err))
            fail_msg("%d ranks: %s", ranks, err.message);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_begin_where_they_may),
        cmocka_unit_test(dense_adamw),
        cmocka_unit_test(dense_muon),
        cmocka_unit_test(untied_adamw),
        cmocka_unit_test(untied_muon),
        cmocka_unit_test(mixture_adamw),
        cmocka_unit_test(mixture_muon),
    };
    return TEST_MAIN("ranks", tests);
}
