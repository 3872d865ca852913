/* The trained model as a folder that other programs read: config.json, model.safetensors in the
 * compute type, and the tokenizer's files as they were. */
#ifndef WEN_TRAIN_EXPORT_H
#define WEN_TRAIN_EXPORT_H

#include "train/train_config.h"

/* `config`: config.json's keys; `text`: where tokenizer and template come from. */
bool export_model(const char *folder, const Params *p, const float *masters, const json_t *config,
                  const Package *text, Error *err) MUST_USE;

#endif
