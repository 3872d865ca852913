/* ONE place where every dialect's fields become a wen_request.
 *
 * options_read takes all spellings from one JSON object, whichever endpoint it came to, so a field
 * that works on one works on all:
 *
 *   sampling   temperature top_p top_k min_p presence_penalty frequency_penalty
 *              repetition_penalty = repeat_penalty, seed, logit_bias, ignore_eos, n
 *   length     max_tokens = max_completion_tokens = max_output_tokens = num_predict = n_predict
 *   stops      stop = stop_sequences: a string or at most 16
 *   logprobs   logprobs true with top_logprobs N, or logprobs N
 *   stream     stream, stream_options {include_usage, continuous_usage_stats,
 *              resume_seconds}
 *   thinking   see request_thinking.c
 *   tools      tools in the shapes of OpenAI (chat and responses) and Anthropic, tool_choice,
 *              parallel_tool_calls
 *   form       see request_format.c
 *   others     cache_salt, continue_final_message
 *
 * A field of a wrong type or out of range is a 400 that names it; unknown fields are ignored, as
 * every peer does, because clients send many. What is not given comes from RequestDefaults, then
 * from the model. */
#ifndef WEN_SERVER_REQUEST_OPTIONS_H
#define WEN_SERVER_REQUEST_OPTIONS_H

#include "base/mem.h"
#include "server/fault.h"

#include <jansson.h>

enum { STREAM_SECONDS_MAX = 3600 };
enum { OPTIONS_STOPS_MAX = 16, OPTIONS_BIAS_MAX = 1024, OPTIONS_N_MAX = 64, OPTIONS_TOP_MAX = 128 };

/* What the server's command line says for requests that do not. */
typedef struct RequestDefaults {
    wen_sampling sampling;
    int think, think_budget; /* as in wen_request */
    int max_tokens;
    const json_t *template_kwargs; /* object or NULL */
    bool merges_thinking;          /* --reasoning-parser none: the tags stay in the content */
} RequestDefaults;

RequestDefaults request_defaults_none(void);

typedef struct RequestOptions {
    wen_request ask;   /* all but the prompt; points into this struct, `arena` and the JSON */
    const char *model; /* as asked; NULL: the server's first */
    int n;             /* choices */
    bool is_stream, includes_usage, has_usage_in_each;
    int64_t resume_seconds; /* a cut stream can be picked up for so long; 0: not */
    bool is_prompt_only;    /* max_tokens 0 */
    bool hides_thinking;    /* the thought is not shown */
    bool merges_thinking;   /* the thought is shown in the content, between its tags */
    json_t *tools;          /* in OpenAI's chat shape, owned; NULL: none */
    json_t *kwargs;         /* template variables, owned; NULL: none */
    const char *system;     /* of a made model; NULL: none */
    const char *stops[OPTIONS_STOPS_MAX];
    int32_t *bias_ids;
    float *bias;
    Arena arena; /* lifetime: request */
} RequestOptions;

void options_open(RequestOptions *o, const RequestDefaults *defaults);
void options_close(RequestOptions *o);

/* The settings of a made model (hub/hub_made.h), before any options_read; NULL is fine. They must
 * outlive the options. */
bool options_read_made(RequestOptions *o, const json_t *settings, Fault *fault) MUST_USE;

/* Reads every known field of `object`; `where` is in front of names in errors ("options."). May be
 * called for several objects in turn: the later one wins. */
bool options_read(RequestOptions *o, const json_t *object, const char *where,
                  Fault *fault) MUST_USE;
/* After the last options_read: whether the fields fit together; completes `ask`. */
bool options_finish(RequestOptions *o, Fault *fault) MUST_USE;
/* JSON text of a value, in the options' arena. */
const char *options_dump(RequestOptions *o, const json_t *value);
/* Sets ask.messages from an array in OpenAI's shape, behind the system message of a made model if
 * they have none. */
void options_set_messages(RequestOptions *o, const json_t *messages);

/* ---- The parts, each in its file; called by options_read ------------------------------------- */

bool options_read_thinking(RequestOptions *o, const json_t *object, const char *where,
                           Fault *fault) MUST_USE;
bool options_read_tools(RequestOptions *o, const json_t *object, const char *where,
                        Fault *fault) MUST_USE;
bool options_read_format(RequestOptions *o, const json_t *object, const char *where,
                         Fault *fault) MUST_USE;
bool options_finish_tools(RequestOptions *o, Fault *fault) MUST_USE;

#endif
