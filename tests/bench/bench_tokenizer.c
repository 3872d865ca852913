/* How fast a tokenizer is: bench_tokenizer FOLDER FILE [ROUNDS]
 * FOLDER holds tokenizer.json (and tokenizer_config.json); FILE is UTF-8 text. Prints the best of
 * ROUNDS (5) for opening, encoding and decoding, on one thread. */
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "text/tokenizer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static bool read_part(Buf *out, const char *folder, const char *name, Error *err)
{
    char *path = file_join(folder, name);
    bool ok = !file_exists(path) || file_read(out, path, (size_t)1 << 30, err);
    mem_free(path);
    return ok;
}

static bool bench(const char *folder, const char *text_path, int n_rounds, Error *err)
{
    Buf json = {0}, config = {0}, text = {0}, back = {0};
    Ids ids = {0};
    double open_s = 1e9, encode_s = 1e9, decode_s = 1e9;
    bool ok = read_part(&json, folder, "tokenizer.json", err) &&
              read_part(&config, folder, "tokenizer_config.json", err) &&
              file_read(&text, text_path, (size_t)1 << 30, err);
    TokenizerFiles files = {.tokenizer_json = buf_str(&json),
                            .tokenizer_config_json = buf_str(&config),
                            .bos_id = -1,
                            .eos_id = -1,
                            .pad_id = -1};
    Tokenizer *t = NULL;
    for (int round = 0; ok && round < n_rounds; round++) {
        tokenizer_close(t);
        double start = clock_seconds();
        t = tokenizer_open(&files, err);
        open_s = fmin(open_s, clock_seconds() - start);
        ok = t != NULL;
    }
    for (int round = 0; ok && round < n_rounds; round++) {
        ids.n = 0;
        buf_clear(&back);
        double start = clock_seconds();
        ok = tokenizer_encode_all(t, buf_str(&text), &ids, err);
        double encoded = clock_seconds();
        ok = ok && tokenizer_decode(t, ids.data, ids.n, false, &back, err);
        encode_s = fmin(encode_s, encoded - start);
        decode_s = fmin(decode_s, clock_seconds() - encoded);
    }
    tokenizer_close(t);
    if (ok)
        printf("open %.1f ms, encode %.1f MB/s, decode %.1f MB/s; %zu bytes, %d ids, %.3f bytes an "
               "id, round trip %s\n",
               open_s * 1e3, (double)text.bytes / encode_s / 1e6,
               (double)back.bytes / decode_s / 1e6, text.bytes, ids.n, (double)text.bytes / ids.n,
               str_equal(buf_str(&text), buf_str(&back)) ? "exact" : "differs (form C)");
    buf_free(&json);
    buf_free(&config);
    buf_free(&text);
    buf_free(&back);
    ids_free(&ids);
    return ok;
}

int main(int argc, char **argv)
{
    if (argc < 3 || argc > 4) {
        fprintf(stderr, "usage: bench_tokenizer FOLDER FILE [ROUNDS]\n");
        return 2;
    }
    Error err = {0};
    if (bench(argv[1], argv[2], argc == 4 ? (int)strtol(argv[3], NULL, 10) : 5, &err))
        return 0;
    fprintf(stderr, "%s\n", err.message);
    return 1;
}
