/* "Did you mean": the nearest of a number of names to what somebody wrote. */
#ifndef CORE_SCRIPT_SUGGEST_H
#define CORE_SCRIPT_SUGGEST_H

#include "core/text.h"

#define SUGGEST_TEXT_MAX 96

struct suggestion {
    struct text wanted;
    struct text nearest; /* empty: none so far */
    unsigned distance;
};

void suggestion_init(struct suggestion *suggestion, struct text wanted);
void suggestion_offer(struct suggestion *suggestion, struct text candidate);
/* Offers each word of a list that blanks separate. */
void suggestion_offer_words(struct suggestion *suggestion, const char *words);
/* Near enough that a slip of the finger explains it? */
bool suggestion_is_near(const struct suggestion *suggestion);
/* " (did you mean 'size'?)", or nothing when no candidate is near. Returns buffer. */
const char *suggestion_text(const struct suggestion *suggestion, char buffer[SUGGEST_TEXT_MAX]);

#endif
