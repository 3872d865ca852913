/* One training run's state and its step: batch, gradient, update. One Trainer is one run in one
 * folder; run.h is the loop around it.
 */
#ifndef WEN_TRAIN_TRAINER_H
#define WEN_TRAIN_TRAINER_H

#include "train/checkpoint.h"
#include "train/gradient.h"
#include "train/model_text.h"

typedef struct TrainerOptions {
    StageState state; /* of a stage that makes its own batches (no data is opened then); zeroed: the
                         data's cursor */
    const char *out;  /* the run's folder */
    const char *data; /* where tokenized data is kept; NULL: OUT/data */
    Backend *backend; /* borrowed; NULL: one of its own, alone, with n_threads */
    int n_threads;    /* of all ranks; 0: one a processor */
    bool is_fresh;    /* forget what is in the folder */
    /* A line on each source of data that was read; NULL: silent. */
    void (*line)(void *context, const char *text);
    void *context;
} TrainerOptions;

/* What one step was like. */
typedef struct StepReport {
    GradientReport gradient;
    OptimReport optim;
    double rate, seconds;
} StepReport;

typedef struct Trainer Trainer;

/* Everything is read and checked, memory taken, and the newest checkpoint of the folder resumed.
 * `config` is borrowed until close. */
Trainer *trainer_open(const TrainConfig *config, const TrainerOptions *options,
                      Error *err) MUST_USE;
void trainer_close(Trainer *t); /* NULL is fine */

const TrainConfig *trainer_config(const Trainer *t);
const char *trainer_folder(const Trainer *t);
const Progress *trainer_progress(const Trainer *t);
/* The model in training; its weights change with every step. */
Model *trainer_model(const Trainer *t);
/* The adapter that learns beside it, or NULL. */
const Adapter *trainer_adapter(const Trainer *t);
const Data *trainer_data(const Trainer *t);
/* Its tokenizer and chat template; how other data is read like the run's own; its
 * generation_config.json, or NULL. */
const ModelText *trainer_text(const Trainer *t);
DataText trainer_data_text(const Trainer *t);
json_t *trainer_generation(const Trainer *t);
/* Parameters that learn, as a share of the model's. */
double trainer_learning_share(const Trainer *t);

/* One step, on the next batch of the data. */
bool trainer_step(Trainer *t, StepReport *report, Error *err) MUST_USE;
/* The next batch of the data, for a stage that has data and an objective of its own. */
const Rows *trainer_next_rows(Trainer *t);
/* Tokens that are looked at together at most: of a micro-batch. */
int trainer_micro_tokens(const Trainer *t);
/* A stage that makes its own batches or has an objective: one update of the weights, by the rate of
 * the step in work; objective: see gradient_batch, NULL for the mean loss. After the step's last
 * one, its end. The report is zeroed before the first; tokens and seconds add up. */
bool trainer_update(Trainer *t, const Rows *rows, const Objective *objective, StepReport *report,
                    Error *err) MUST_USE;
void trainer_end_step(Trainer *t, const StepReport *report);
/* The weighted sum of losses (objective NULL: cross-entropies, in nats) of rows that are not
 * trained on. Of the training's state, nothing changes. */
double trainer_score(Trainer *t, const Rows *rows, const Objective *objective);
/* Writes a checkpoint. */
bool trainer_save(const Trainer *t, Error *err) MUST_USE;
/* Writes the model, which contains a trained adapter, or that adapter alone to `folder` (export.h).
 */
typedef enum ExportKind { EXPORT_MODEL, EXPORT_ADAPTER } ExportKind;
bool trainer_export(const Trainer *t, ExportKind kind, const char *folder, Error *err) MUST_USE;

/* ---- Several ranks ---------------------------------------------------------------------------
 *
 * Each rank has a Trainer of the same run; they call the functions above together, and get the same
 * results. One of them, the first, writes the files. */

/* What each rank does with its trainer. */
typedef bool TrainerBody(void *context, Trainer *t, Error *err);
/* Opens the config's number of ranks and runs `body` on each, as backend_run_ranks does. */
bool trainer_run_ranks(const TrainConfig *config, const TrainerOptions *options, TrainerBody *body,
                       void *context, Error *err) MUST_USE;
/* Whether this rank is the one that writes and speaks. */
bool trainer_is_first(const Trainer *t);
/* What the first rank says, on all. */
bool trainer_agree(const Trainer *t, bool is_so);

#endif
