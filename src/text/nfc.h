/* Unicode normalization form C (UAX 15), in time linear in the text but for long runs of combining
 * marks (n log n). */
#ifndef WEN_TEXT_NFC_H
#define WEN_TEXT_NFC_H

#include "base/str.h"
#include "text/char_table.h"

/* Where normalizing changed bytes: from .. from + bytes - 1 of the text became out_bytes bytes at
 * out_from of the result. */
typedef struct NfcEdit {
    size_t from, bytes, out_from, out_bytes;
} NfcEdit;

/* Zeroed is ready; free with nfc_result_free. */
typedef struct NfcResult {
    Buf text;
    NfcEdit *edits; /* in order */
    size_t n_edits, n_edits_max;
} NfcResult;
void nfc_result_free(NfcResult *result);

/* The offset of the first character at which `text` (valid UTF-8) may not be in form C, or
 * text.bytes when it certainly is. Text before the offset, cut at a character, is in form C. */
size_t nfc_quick_check(const CharTable *table, Str text);

/* Form C of `text` (valid UTF-8). The result has edits only where bytes really differ. */
bool nfc_normalize(const CharTable *table, Str text, NfcResult *result, Error *err) MUST_USE;

/* A place in the text, as a place in the result. Inside an edit: the edit's start, or its end when
 * `up`. */
size_t nfc_map(const NfcResult *result, size_t at, bool up);

#endif
