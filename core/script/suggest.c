/* "Did you mean". */
#include "core/script/suggest.h"

#include "core/fmt.h"

#define DISTANCE_MAX 64

void suggestion_init(struct suggestion *suggestion, struct text wanted)
{
    *suggestion = (struct suggestion){.wanted = wanted, .distance = DISTANCE_MAX};
}

void suggestion_offer(struct suggestion *suggestion, struct text candidate)
{
    unsigned distance = text_distance(suggestion->wanted, candidate, DISTANCE_MAX);
    if (distance < suggestion->distance) {
        suggestion->distance = distance;
        suggestion->nearest = candidate;
    }
}

void suggestion_offer_words(struct suggestion *suggestion, const char *words)
{
    struct text rest = text_of(words);
    while (rest.size > 0)
        suggestion_offer(suggestion, text_cut(&rest, ' '));
}

bool suggestion_is_near(const struct suggestion *suggestion)
{
    size_t size = suggestion->wanted.size;
    unsigned limit = size <= 2 ? 1 : size <= 6 ? 2 : 3;
    return suggestion->nearest.size > 0 && suggestion->distance <= limit;
}

const char *suggestion_text(const struct suggestion *suggestion, char buffer[SUGGEST_TEXT_MAX])
{
    buffer[0] = '\0';
    if (suggestion_is_near(suggestion))
        fmt_print(buffer, SUGGEST_TEXT_MAX, " (did you mean '%.*s'?)",
                  TEXT_ARGS(suggestion->nearest));
    return buffer;
}
