/* One question and its answers, between a dialect and the engine.
 *
 * A dialect reads its request into `options`, asks with exchange_ask, and hands over with
 * exchange_answer. From there on this file reads the replies: every event is gathered into its
 * Choice, and, in a stream, also handed to the dialect as a Piece. Whole answers are written from
 * the same Choices, so streaming and not streaming say the same.
 *
 * Tool calls are handed out as they come. The engine lets a call that was begun be nothing but a
 * valid one, so it can only be cut, by a limit: then it stays in the answer as far as it came. */
#ifndef WEN_SERVER_EXCHANGE_H
#define WEN_SERVER_EXCHANGE_H

#include "server/http.h"
#include "server/models.h"
#include "server/request_options.h"

typedef struct Call {
    Buf name, arguments; /* arguments: raw JSON */
    char id[40];
    bool is_whole; /* false: it was cut */
} Call;

/* One generated token, for logprobs. */
typedef struct TokenRecord {
    int32_t id;
    float logprob;
    size_t top_from;
    int n_top;
} TokenRecord;

typedef struct Choice {
    wen_reply *reply; /* NULL: ended */
    Buf thinking, text;
    Call *calls; /* [n_calls] */
    int n_calls, n_calls_max;
    Buf behind_call; /* text that came while a call was open: the call again, if it was cut */
    TokenRecord *tokens;
    size_t n_tokens, n_tokens_max, n_tokens_told; /* told: written to the stream */
    wen_top *tops;
    size_t n_tops, n_tops_max;
    size_t text_offset; /* characters told, for the dialect */
    bool is_in_thought; /* of merged thoughts: the tag is open */
    wen_finish finish;
    int stop_i; /* the stop string that ended it, or -1 */
    wen_usage usage;
    int64_t seed;
} Choice;

typedef enum PieceKind {
    PIECE_THINKING,
    PIECE_TEXT,
    PIECE_CALL,           /* a tool call begins: its name is known */
    PIECE_CALL_ARGUMENTS, /* a piece of its raw JSON */
    PIECE_CALL_END,
    PIECE_DONE, /* the choice has ended */
} PieceKind;

typedef struct Piece {
    PieceKind kind;
    int choice_i;
    Str text;   /* THINKING, TEXT, CALL_ARGUMENTS */
    int call_i; /* the calls: choice->calls[call_i] */
    const Call *call;
} Piece;

typedef struct Exchange Exchange;

/* How a dialect writes. */
typedef struct Dialect {
    const char *stream_type; /* Content-Type of a stream */
    /* A stream: before anything, for every piece, behind the last. */
    void (*begin)(Exchange *x, Buf *out);
    void (*piece)(Exchange *x, const Piece *piece, Buf *out);
    void (*end)(Exchange *x, Buf *out);
    /* In place of the end, when it failed; and in silence (NULL: nothing). */
    void (*fail)(Exchange *x, const Fault *fault, Buf *out);
    void (*ping)(Exchange *x, Buf *out);
    /* The whole answer as one JSON object. */
    void (*whole)(Exchange *x, Buf *out);
} Dialect;

struct Exchange {
    HttpCall *call;
    const Dialect *dialect;
    json_t *body; /* owned; options point into it */
    RequestOptions options;
    ServedModel *model;     /* taken */
    const char *model_name; /* for answers: the model's, or that of its adapter */
    char id[64];            /* of the answer */
    int64_t created;        /* seconds of the epoch */
    Choice *choices;        /* [n_choices] */
    int n_choices, n_done;
    int n_prompts; /* choices i * n_choices / n_prompts .. have the i-th prompt */
    double asked, last_sent;
    bool has_begun, has_ended;
    Fault fault; /* status 0: none */
    Arena arena; /* lifetime: request; the dialect's own state goes here too */
    void *state; /* the dialect's */
};

/* Reads the body and the fields every dialect has; NULL: the fault has been sent. The id begins
 * with id_prefix. Takes the model. */
Exchange *exchange_open(HttpCall *call, const Dialect *dialect, const char *id_prefix);
/* The same without a model, options only from the server's defaults: for the dialect to fill. */
Exchange *exchange_open_bare(HttpCall *call, const Dialect *dialect, const char *id_prefix);
bool exchange_take_model(Exchange *x, Fault *fault) MUST_USE;
/* For what only the engine's own adapters change (embeddings, scores): a 501 if the request chose
 * one by name. */
bool exchange_has_no_adapter(const Exchange *x, Fault *fault) MUST_USE;
void exchange_close(Exchange *x);
/* Sends the fault and closes. */
void exchange_refuse(Exchange *x, const Fault *fault);

/* Asks n times; choice i answers asks[i], and n / n_prompts choices in a row have the same prompt.
 * False and a fault: nothing runs. */
bool exchange_ask(Exchange *x, const wen_request *asks, int n, int n_prompts,
                  Fault *fault) MUST_USE;
/* options.n choices of one prompt, that of options.ask. Choice i has the seed plus i. */
bool exchange_ask_n(Exchange *x, Fault *fault) MUST_USE;

/* Streams or sends the whole answer, as options.is_stream says; closes x, then or later. */
void exchange_answer(Exchange *x);
/* The next piece of a stream, for who writes it: appended to `out`. False: that was the last. */
bool exchange_more(Exchange *x, Buf *out) MUST_USE;
/* Waits until all choices have ended; false: a fault was set in x->fault, or the client is gone
 * (status 0). */
bool exchange_wait(Exchange *x) MUST_USE;

/* All choices together; each prompt counts once. */
wen_usage exchange_usage(const Exchange *x);
/* Whether this answer may think, and with what budget (-1: no limit). */
bool exchange_thinks(const Exchange *x, int *budget);
/* "stop", "length", "tool_calls". */
const char *choice_finish_name(const Choice *choice);

#endif
