/* See teacher.h. */
#include "rl/teacher.h"

#include "base/clock.h"
#include "model/forward.h"
#include "train/loss.h"
#include "train/model_text.h"

struct Teacher {
    Model *model;
    KvStore *kv;
    Step step;
    Mat hidden;    /* of the batch that was seen last */
    size_t loaded; /* step.used behind it */
    double seconds;
};

/* ---- Vocabulary
 * -------------------------------------------------------------------------------------- */

static bool same_tokens(const Tokenizer *teacher, const Tokenizer *student, Error *err)
{
    const int n = tokenizer_n_tokens(teacher), n_student = tokenizer_n_tokens(student);
    for (int id = 0; id < n && id < n_student; id++) {
        const Str a = tokenizer_bytes(teacher, id), b = tokenizer_bytes(student, id);
        if (!str_equal(a, b))
            return error_set(
                err, ERROR_FORMAT,
                "another vocabulary than the student's: token %d is \"%.*s\" there and "
                "\"%.*s\" here",
                id, (int)(a.bytes < 40 ? a.bytes : 40), a.data, (int)(b.bytes < 40 ? b.bytes : 40),
                b.data);
    }
    return n == n_student ||
           error_set(err, ERROR_FORMAT,
                     "another vocabulary than the student's: %d tokens there and %d here", n,
                     n_student);
}

static bool same_rows(int n, int n_student, Error *err)
{
    return n == n_student ||
           error_set(err, ERROR_FORMAT,
                     "its head has %d rows and the student's has %d; both must be equal", n,
                     n_student);
}

bool teacher_check(const char *path, const Tokenizer *student, int n_vocab, Error *err)
{
    ModelText text = {0};
    Package *package = package_open(path, true, err);
    bool ok = package && model_text_open(&text, package, err);
    if (ok) {
        const json_t *rows = json_object_get(package_config(package), "vocab_size");
        ok = (same_tokens(text.tokenizer, student, err) &&
              (n_vocab == 0 || same_rows((int)json_integer_value(rows), n_vocab, err))) ||
             error_add(err, "teacher %s", path);
    }
    model_text_close(&text);
    package_close(package);
    return ok;
}

/* ---- The model
 * --------------------------------------------------------------------------------------- */

static bool take_memory(Teacher *t, int tokens_max, Error *err)
{
    const Config *c = &t->model->config;
    Backend *b = t->model->backend;
    const int n = tokens_max + tokens_max % 2; /* rows are filled up to even lengths */
    const int chunk = n < loss_chunk_rows(c) ? n : loss_chunk_rows(c);
    const size_t logits = step_mat_bytes(chunk, c->n_vocab) + step_mat_bytes(chunk, c->d_model);
    const size_t forward_bytes = forward_step_bytes(c, n);
    int cols = c->d_model > c->d_ff ? c->d_model : c->d_ff;
    cols = cols > c->n_heads * c->head_dim ? cols : c->n_heads * c->head_dim;
    cols = cols > c->d_expert ? cols : c->d_expert;
    const int rows = c->n_experts_used > 1 ? n * c->n_experts_used : n;
    /* Keys and values as in training; pages are the student's, a token each at most. */
    t->kv = b->kv_new(b, DTYPE_F32, c->n_layers, c->n_kv_heads, c->head_dim, n, err);
    return t->kv &&
           step_open(&t->step, b,
                     step_mat_bytes(n, c->d_model) +
                         (forward_bytes > logits ? forward_bytes : logits),
                     err) &&
           b->reserve(b, rows, cols, err);
}

Teacher *teacher_open(const char *path, const Model *student, int tokens_max, Error *err)
{
    Teacher *t = mem_alloc(sizeof *t);
    Package *package = package_open(path, true, err);
    if (package)
        t->model = model_open(package, student->backend, NULL, err);
    const bool ok = t->model && same_rows(t->model->config.n_vocab, student->config.n_vocab, err) &&
                    take_memory(t, tokens_max, err);
    package_close(package);
    if (ok)
        return t;
    teacher_close(t);
    error_add(err, "teacher %s", path);
    return NULL;
}

void teacher_close(Teacher *t)
{
    if (!t)
        return;
    if (t->model && t->kv)
        t->model->backend->kv_free(t->model->backend, t->kv);
    step_close(&t->step);
    model_close(t->model);
    mem_free(t);
}

void teacher_see(Teacher *t, const Batch *batch)
{
    const double start = clock_seconds();
    Batch own = *batch;
    own.n_adapted = 0; /* the student's adapter is not the teacher's */
    own.adapted = NULL;
    t->step.used = 0;
    t->hidden = step_mat(&t->step, batch->n_tokens, t->model->config.d_model);
    t->loaded = t->step.used;
    forward(t->model, t->kv, &own, &t->step, NULL, t->hidden);
    t->seconds += clock_seconds() - start;
}

Mat teacher_logits(Teacher *t, const int32_t *rows, int n)
{
    const double start = clock_seconds();
    t->step.used = t->loaded;
    Mat logits = step_mat(&t->step, n, t->model->config.n_vocab);
    head_logits(t->model, t->hidden, rows, &t->step, logits);
    t->seconds += clock_seconds() - start;
    return logits;
}

double teacher_seconds(const Teacher *t) { return t->seconds; }
