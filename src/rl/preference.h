/* The loss of a reward model: of two answers to the same prompt the preferred one has to score
 * higher. Bradley and Terry's model of comparisons, p(chosen over rejected) = sigmoid(r_c - r_r),
 * so the loss of a pair is -log sigmoid(r_c - r_r) + center (r_c + r_r)^2. The second term keeps
 * scores around 0, which differences alone leave open (arXiv 2312.09244).
 *
 * A score is a logit of the model's own head: that of one token at the last token of a conversation
 * (the form of NVIDIA's Llama-3.1-Nemotron-70B-Reward). So a reward model is a model like any
 * other. */
#ifndef WEN_RL_PREFERENCE_H
#define WEN_RL_PREFERENCE_H

#include "train/micro.h"

/* A pair's loss; grads: its slopes by the two scores. */
double preference_loss(double chosen, double rejected, double center, double grads[2]);

/* Sums over pairs, for reports. */
typedef struct PreferenceStats {
    int64_t n, n_right;  /* n_right: the chosen one scores higher */
    double loss, margin; /* margin: r_c - r_r */
} PreferenceStats;

/* As an objective of the trainer. The scored tokens of a batch are the last ones of conversations:
 * a pair's chosen one, its rejected one, and so on, all with one weight; the mean over scored
 * tokens is then the mean over pairs. */
typedef struct Preference {
    int32_t token;
    double center;
    Backend *backend;
    PreferenceStats stats; /* the caller may zero them */
    Objective objective;   /* for trainer_update and trainer_score */
    int n_rows;            /* of a chunk, at most */
    float *scores, *weights, *losses;
    Arena arena;
} Preference;

/* `model`: the one in training. The objective points here: not to be copied. */
void preference_open(Preference *p, const Model *model, int32_t token, double center);
void preference_close(Preference *p); /* a zeroed one is fine */

#endif
