/* Conversations as training documents.
 *
 *   {"messages": [...], "tools": [...], "enable_thinking": true|false, "chat_template_kwargs": {}}
 *
 * in OpenAI's message shape; all but messages may be missing. An assistant's thought is in
 * "reasoning_content" or in <think> at the beginning of its content; its "weight" (0 .. 1; 1) says
 * how much the answer counts: 0 makes it context. Its "thinking_weight" (0 .. 1; 1) is that of its
 * thought and the thought's end beside the rest: 0 for a thought that was cut, which the answer has
 * to follow but nobody has to write.
 *
 * What an answer looks like is asked of the model's own template, in the two renderings that
 * inference knows. The conversation up to the answer with a generation prompt is what the model
 * will see: context. The conversation up to and with the answer goes on where that prompt ends, and
 * what goes on is what the model has to write, to the special token that ends it: learned. So
 * "<think>\n\n</think>\n\n" is learned where the model writes it and context where enable_thinking
 * false puts it into the prompt, with any template.
 *
 * An answer follows the previous one in the same document as long as the later prompt, token by
 * token, begins with the earlier prompt and answer: tool loops, and templates that leave history
 * alone. Where a template rewrites history (Qwen3's takes thoughts away once a new question
 * follows), the later answer begins a document of its own, with the history that inference will
 * show it. Every answer is learned once, behind exactly what precedes it at inference.
 *
 * Prompts that open a thought which the template never writes back (QwQ, DeepSeek-R1) are followed
 * by the thought, "\n</think>\n\n" and the answer as the template writes it.
 *
 * Special tokens are matched in what template and assistant wrote, never in what came from
 * others. */
#ifndef WEN_TRAIN_CHAT_DATA_H
#define WEN_TRAIN_CHAT_DATA_H

#include "text/chat.h"
#include "train/documents.h"

/* What of a conversation is learned. */
typedef enum ChatScore {
    CHAT_ALL,  /* every answer */
    CHAT_LAST, /* those behind the last message of a user */
    CHAT_TEXT  /* every token of its rendering, as if it were a text; weights do not count */
} ChatScore;

/* Fields before `prompt` are the caller's; the rest is room for work. A zeroed rest is ready. */
typedef struct ChatReader {
    const ChatTemplate *chat;
    const Tokenizer *tokenizer;
    ChatScore score;
    int32_t end; /* the token that ends a text (CHAT_TEXT) */
    JinjaOutput prompt, whole;
    Ids prompt_ids, answer_ids, document;
    float *weights; /* of document's ids */
    int n_weights, weights_capacity;
    int64_t n_bytes; /* of what is learned of it */
} ChatReader;

void chat_reader_free(ChatReader *r);

/* Whether it is an array of at least one message, each in order: "messages[2].role: ...". */
bool chat_messages_check(const json_t *messages, Error *err) MUST_USE;

/* Adds the documents of one conversation. Errors say where in it: "messages[2].role: ...". */
bool chat_reader_add(ChatReader *r, const json_t *conversation, Documents *out,
                     Error *err) MUST_USE;

#endif
