/* The oracle's methods of position that a GGUF cannot name: a part of qwen3.c, which includes it
 * where its model, settings and softmax are known.
 *
 * What a GGUF cannot say of positions, settings do: of config.json, --window (sliding_window),
 * --window-from (max_window_layers), --linear and --ntk (rope_scaling's factor), --dynamic
 * (likewise, beyond --trained positions), --qwen-ntk 1 and --logn 1 (use_dynamic_ntk and
 * use_logn_attn, beyond --trained), --chunk, --local and --original (of
 * dual_chunk_attention_config). */
#ifndef WEN_TESTS_ORACLE_POSITIONS_H
#define WEN_TESTS_ORACLE_POSITIONS_H

/* As the command line has them; 0: off. */
static struct {
    double window, window_from, linear, ntk, dynamic, qwen_ntk, logn, trained, chunk, local,
        original;
} how;

static double *how_named(const char *name)
{
    static const struct {
        const char *name;
        double *value;
    } all[] = {{"--window", &how.window},    {"--window-from", &how.window_from},
               {"--linear", &how.linear},    {"--ntk", &how.ntk},
               {"--dynamic", &how.dynamic},  {"--qwen-ntk", &how.qwen_ntk},
               {"--logn", &how.logn},        {"--trained", &how.trained},
               {"--chunk", &how.chunk},      {"--local", &how.local},
               {"--original", &how.original}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (strcmp(name, all[i].name) == 0)
            return all[i].value;
    return NULL;
}

/* Cosines and sines of the positions that any_score turns by, [positions][head_dim / 2]. */
static double *cosines, *sines;

/* For sequences of n tokens: the base may depend on that. */
static void set_turns(long n)
{
    const long half = m.head_dim / 2, most = n > 2 * (long)how.chunk ? n : 2 * (long)how.chunk;
    const double base = setting("rope.freq_base", 10000), d = (double)m.head_dim;
    double alpha = 1;
    if (how.ntk > 0)
        alpha = how.ntk;
    if (how.dynamic > 0)
        alpha = how.dynamic * fmax((double)n, how.trained) / how.trained - (how.dynamic - 1);
    if (how.qwen_ntk > 0)
        alpha = fmax(pow(2, ceil(log2((double)n / how.trained) + 1)) - 1, 1);
    cosines = numbers(most, half), sines = numbers(most, half);
    for (long j = 0; j < half; j++) {
        const double f = alpha > 1 ? pow(base * pow(alpha, d / (d - 2)), -2 * (double)j / d)
                                   : m.frequency[j] / (how.linear > 0 ? how.linear : 1);
        for (long at = 0; at < most; at++) {
            cosines[at * half + j] = cos((double)at * f);
            sines[at * half + j] = sin((double)at * f);
        }
    }
}

/* The score of one pair under the methods of `how`, straight from their papers: the query turns by
 * the angle of one position, the key by that of another. */
static double any_score(const double *q, const double *k, long t, long s, long n)
{
    const long half = m.head_dim / 2, chunk = (long)(how.chunk - how.local);
    long at_q = t, at_k = s;
    double gain = 1, sum = 0;
    if (chunk > 0) {
        at_k = s % chunk;
        at_q = t % chunk;
        if (t / chunk == s / chunk + 1)
            at_q = (long)fmin((double)(at_q + chunk), how.chunk);
        else if (t / chunk > s / chunk)
            at_q = (long)fmin(2 * (double)chunk - 1, how.chunk);
        if (how.original > 0) /* once in the queries, once in the keys */
            gain = pow(fmax(1, 0.1 * log((double)n / how.original) + 1), 2);
    }
    if (how.logn > 0)
        gain *= fmax(1, log((double)t + 1) / log(how.trained));
    for (long j = 0; j < half; j++) {
        const double cq = cosines[at_q * half + j], sq = sines[at_q * half + j];
        const double ck = cosines[at_k * half + j], sk = sines[at_k * half + j];
        sum += (q[j] * cq - q[j + half] * sq) * (k[j] * ck - k[j + half] * sk) +
               (q[j + half] * cq + q[j] * sq) * (k[j + half] * ck + k[j] * sk);
    }
    return sum * gain * m.rope_gain * m.rope_gain / sqrt((double)m.head_dim);
}

/* One query head over keys that have not been turned, for methods that `rope` does not know. */
static void any_attention_head(long h, void *context)
{
    const Attention *a = context;
    const long d = m.head_dim, kv = h / (m.n_heads / m.n_kv_heads);
    double *p = numbers(1, a->n);
    for (long t = 0; t < a->n; t++) {
        const double *q = a->q + (t * m.n_heads + h) * d;
        double *out = a->out + (t * m.n_heads + h) * d;
        const bool slides = how.window > 0 && (double)a->layer >= how.window_from;
        for (long s = 0; s <= t; s++)
            p[s] = slides && (double)(t - s) >= how.window
                       ? -HUGE_VAL
                       : any_score(q, a->k + (s * m.n_kv_heads + kv) * d, t, s, a->n);
        softmax(p, t + 1, 1);
        for (long i = 0; i < d; i++)
            out[i] = 0;
        for (long s = 0; s <= t; s++)
            for (long i = 0; i < d; i++)
                out[i] += p[s] * a->v[(s * m.n_kv_heads + kv) * d + i];
    }
    free(p);
}

#endif
