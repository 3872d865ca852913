/* See asker.h. */
#include "train/asker.h"

#include "base/mem.h"

void replies_free(Reply *replies, int n)
{
    for (int i = 0; i < n; i++) {
        mem_free(replies[i].thinking);
        mem_free(replies[i].content);
        json_decref(replies[i].tool_calls);
    }
}
