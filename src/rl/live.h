/* The model in training, asked: an engine over the trainer's own weights, opened for each round of
 * questions and closed again, so that nothing it knows of older weights is left. */
#ifndef WEN_RL_LIVE_H
#define WEN_RL_LIVE_H

#include "train/asker.h"
#include "train/trainer.h"

/* Borrows the trainer. Between steps only. */
Asker live_asker(Trainer *t);

#endif
