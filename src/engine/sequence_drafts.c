/* Drafts of a sequence: kept within what its grammar allows; see sequence.h. */
#include "engine/sequence_parts.h"

void sequence_begin_drafts(Sequence *s)
{
    s->n_drafts = s->n_drafts_computed = 0;
    if (!sequence_is_ruled(s))
        return;
    if (!s->draft_matcher)
        s->draft_matcher = matcher_new(s->request.grammar);
    matcher_follow(s->draft_matcher, s->matcher);
}

int sequence_drafts_max(const Sequence *s)
{
    int n = s->ids.capacity - s->ids.n - 1;
    return n < DRAFTS_MAX ? n : DRAFTS_MAX;
}

static void push_forced(Sequence *s)
{
    Ids forced = {0};
    matcher_forced(s->draft_matcher, &forced);
    for (int i = 0; i < forced.n && s->n_drafts < sequence_drafts_max(s); i++) {
        if (!matcher_accept(s->draft_matcher, forced.data[i]))
            break;
        s->drafts[s->n_drafts++] = forced.data[i];
    }
    ids_free(&forced);
}

bool sequence_push_draft(Sequence *s, int32_t id)
{
    const bool is_ruled = sequence_is_ruled(s);
    if (s->n_drafts >= sequence_drafts_max(s) || sequence_is_end(s, id))
        return false;
    if (is_ruled ? !matcher_accept(s->draft_matcher, id) : s->matcher && id == s->rules->call_id)
        return false;
    s->drafts[s->n_drafts++] = id;
    if (is_ruled)
        push_forced(s);
    return s->n_drafts < sequence_drafts_max(s);
}

SampleRow sequence_draft_row(Sequence *s)
{
    SampleRow row = sequence_sample_row_at(s, s->draft_matcher, s->ids.n + s->n_drafts);
    row.n_top = 0;
    return row;
}
