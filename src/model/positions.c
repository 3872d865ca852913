/* See positions.h. */
#include "model/positions.h"

#include "base/rng.h"

#include <math.h>
#include <string.h>

_Static_assert((int)CONFIG_CHUNK_STEP == (int)KV_PAGE_TOKENS, "chunks are whole pages");

/* ---- Frequencies ----------------------------------------------------------------------------- */

/* The pair index at which a frequency makes `rotations` turns within the original context. */
static double yarn_correction(const Config *c, double rotations)
{
    const double two_pi = 6.283185307179586;
    return c->head_dim * log(c->rope_scaling.original_context / (rotations * two_pi)) /
           (2 * log(c->rope_theta));
}

static double yarn_mscale(double factor, double mscale)
{
    return factor > 1 ? 0.1 * mscale * log(factor) + 1 : 1;
}

static void stretch_by_yarn(const Config *c, double *inv_freq, float *attention_factor)
{
    const RopeScaling *s = &c->rope_scaling;
    double low = yarn_correction(c, s->beta_fast), high = yarn_correction(c, s->beta_slow);
    if (s->truncate) {
        low = floor(low);
        high = ceil(high);
    }
    low = fmax(low, 0);
    high = fmin(high, c->head_dim - 1);
    if (low == high)
        high += 0.001;
    for (int j = 0; j < c->head_dim / 2; j++) {
        double ramp = fmin(fmax((j - low) / (high - low), 0), 1);
        inv_freq[j] = inv_freq[j] / s->factor * ramp + inv_freq[j] * (1 - ramp);
    }
    double attention = s->attention_factor;
    if (attention == 0 && s->mscale > 0 && s->mscale_all_dim > 0)
        attention = yarn_mscale(s->factor, s->mscale) / yarn_mscale(s->factor, s->mscale_all_dim);
    if (attention == 0)
        attention = yarn_mscale(s->factor, 1);
    *attention_factor = (float)attention;
}

void config_rope(const Config *c, double *inv_freq, float *attention_factor)
{
    const RopeScaling *s = &c->rope_scaling;
    const int d = c->head_dim;
    const double base =
        s->kind == ROPE_NTK ? c->rope_theta * pow(s->factor, d / (d - 2.0)) : c->rope_theta;
    for (int j = 0; j < d / 2; j++)
        inv_freq[j] = pow(base, -2.0 * j / d) / (s->kind == ROPE_LINEAR ? s->factor : 1);
    *attention_factor = 1;
    if (s->kind == ROPE_YARN && s->factor > 1)
        stretch_by_yarn(c, inv_freq, attention_factor);
}

/* ---- Rotations ------------------------------------------------------------------------------- */

static void grow_with_position(Rotation *r, int from)
{
    r->grows_from = from;
    r->growth = from > 1 ? 1 / log(from) : 1; /* 1 + ln(L / from) / ln(from) = ln L / ln from */
    r->growth_power = 1;
    r->grows_by_length = false;
}

static void grow_with_length(Rotation *r, int from)
{
    r->grows_from = from;
    r->growth = 0.1;
    r->growth_power = 2; /* of queries, in place of 1 of both queries and keys */
    r->grows_by_length = true;
}

void positions_init(Positions *p, const Config *c, double *inv_freq)
{
    const DualChunk *dual = &c->dual_chunk;
    Rotation plain = {.inv_freq = inv_freq};
    config_rope(c, inv_freq, &plain.factor);
    *p = (Positions){.keys = plain, .queries = plain, .are_alike = true};
    if (c->logn_from > 0)
        grow_with_position(&p->queries, c->logn_from);
    else if (dual->chunk > 0 && dual->original > 0)
        grow_with_length(&p->queries, dual->original);
    p->are_alike = p->queries.grows_from == 0;
    if (dual->chunk == 0)
        return;
    p->has_chunks = true;
    p->keys.wrap = p->queries.wrap = dual->chunk;
    p->keys.most = p->queries.most = dual->chunk;
    p->before = p->far = p->queries;
    p->before.shift = dual->chunk;
    p->before.most = dual->reach;
    /* Like the last query of a chunk for the chunk before. */
    const int last = 2 * dual->chunk - 1;
    p->far.wrap = 1;
    p->far.shift = p->far.most = last < dual->reach ? last : dual->reach;
}

/* ---- Sequences ------------------------------------------------------------------------------- */

/* a of rope_stretch: the base of n_prompt's rotation is rope_theta * a^(d / (d - 2)). */
static double stretch_of(const Config *c, int n_prompt)
{
    const RopeScaling *s = &c->rope_scaling;
    const double times = (double)n_prompt / s->original_context;
    if (s->kind == ROPE_DYNAMIC && times > 1)
        return s->factor * times - (s->factor - 1);
    if (s->kind == ROPE_QWEN_NTK && times > 1)
        return fmax(exp2(ceil(log2(times) + 1)) - 1, 1);
    return 1;
}

void positions_place(const Config *c, int n_prompt, SeqSpan *span)
{
    span->length = n_prompt;
    span->rope_stretch = stretch_of(c, n_prompt);
    if (span->rope_stretch == 1)
        span->rope_stretch = 0;
}

uint64_t positions_salt(const Config *c, int n_prompt)
{
    const int original = c->dual_chunk.chunk > 0 ? c->dual_chunk.original : 0;
    const double stretch = stretch_of(c, n_prompt);
    uint64_t salt = 0;
    if (stretch > 1) {
        memcpy(&salt, &stretch, sizeof salt);
        salt = rng_mix(salt);
    }
    if (original > 0 && n_prompt > original)
        salt ^= rng_mix((uint64_t)n_prompt << 32);
    return salt;
}

bool positions_are_plain(const Config *c, int n, Error *err)
{
    const RopeScaling *s = &c->rope_scaling;
    const bool is_dynamic = s->kind == ROPE_DYNAMIC || s->kind == ROPE_QWEN_NTK;
    const DualChunk *dual = &c->dual_chunk;
    int chunk = dual->chunk;
    if (dual->original > 0 && dual->original < chunk)
        chunk = dual->original;
    const char *what = NULL;
    int from = 0;
    if (c->window > 0 && n > c->window) {
        what = "a sliding window";
        from = c->window;
    } else if (c->logn_from > 0 && n > c->logn_from) {
        what = "LogN scaling";
        from = c->logn_from;
    } else if (is_dynamic && n > s->original_context) {
        what = "dynamic NTK";
        from = s->original_context;
    } else if (chunk > 0 && n > chunk) {
        what = "dual chunk attention";
        from = chunk;
    }
    return !what || error_set(err, ERROR_UNSUPPORTED,
                              "sequences of %d tokens: the model has %s beyond %d, which is not "
                              "trained; take shorter ones",
                              n, what, from);
}
