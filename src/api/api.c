/* Errors, memory and turns of the public interface; see wen.h. */
#include "api/api.h"

#include <stdlib.h>
#include <string.h>

_Static_assert((int)WEN_ERROR_CANCELLED == (int)ERROR_CANCELLED, "the codes are the same");
_Static_assert(sizeof(((wen_error *)0)->message) == sizeof(((Error *)0)->message),
               "a message fits");

bool api_fail(wen_error *err, const Error *from)
{
    if (err) {
        err->code = (wen_error_code)from->code;
        memcpy(err->message, from->message, sizeof err->message);
    }
    return false;
}

const char *wen_error_name(wen_error_code code) { return error_name((ErrorCode)code); }

const char *wen_version(void) { return WEN_VERSION; }

void wen_free(void *memory) { mem_free(memory); }

char *api_copy_text(Str text) { return mem_strndup(text.bytes ? text.data : "", text.bytes); }

void turn_open(Turn *turn)
{
    *turn = (Turn){0};
    pthread_mutex_init(&turn->mutex, NULL);
    pthread_cond_init(&turn->changed, NULL);
}

void turn_close(Turn *turn)
{
    pthread_mutex_destroy(&turn->mutex);
    pthread_cond_destroy(&turn->changed);
}

void turn_take(Turn *turn)
{
    pthread_mutex_lock(&turn->mutex);
    uint64_t mine = turn->n_issued++;
    while (turn->n_served != mine)
        pthread_cond_wait(&turn->changed, &turn->mutex);
    pthread_mutex_unlock(&turn->mutex);
}

void turn_give(Turn *turn)
{
    pthread_mutex_lock(&turn->mutex);
    turn->n_served++;
    pthread_cond_broadcast(&turn->changed);
    pthread_mutex_unlock(&turn->mutex);
}
