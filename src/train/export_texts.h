/* Inside export: everything in the folder but the weights. */
#ifndef WEN_TRAIN_EXPORT_TEXTS_H
#define WEN_TRAIN_EXPORT_TEXTS_H

#include "train/export.h"

bool export_texts(const char *folder, const Export *e, Error *err) MUST_USE;

#endif
