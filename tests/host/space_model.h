/* A model of several spaces, and random operations done to both. For each page of a window the model
 * knows its region, its rights and which slot of which memory it shows; for each slot three words. What is
 * private over a file has slots of its own where it was written, and shows the file's elsewhere. The
 * simulated TLB keeps what nobody flushes, so that a flush that is missing shows as a wrong value.
 *
 * Concepts: where random numbers come from and what happens on a difference is the user's, so that the
 * same generator serves tests and fuzzers. Everything outside the window is reserved, so that the model
 * knows all holes. Now and then an allocation fails; then nothing may have changed. Now and then memory is
 * reclaimed, and all content is looked at; with `pressure` there is little memory for a time, so that any
 * operation may do that. */
#ifndef TESTS_HOST_SPACE_MODEL_H
#define TESTS_HOST_SPACE_MODEL_H

#include "core/mm/space.h"

#define MODEL_SPACES_MAX 6
#define MODEL_PAGES_MAX 3072
#define MODEL_PAGES_SMALL 64 /* soon compared */
#define MODEL_NAMED_MAX 6
#define MODEL_WORDS 3

struct space_model_config {
    unsigned spaces;     /* at most MODEL_SPACES_MAX */
    uint64_t page_count; /* of the window; at most MODEL_PAGES_MAX */
    uint64_t base;       /* of the window */
    bool inject;
    bool pressure;
    uint64_t (*draw)(uint64_t bound);  /* a number below the bound */
    void (*differs)(const char *text); /* does not return */
};

/* --- for users ------------------------------------------------------------------------------------------ */

void space_model_start(const struct space_model_config *config);
/* One operation, checked by what it returns. */
void space_model_step(void);
/* Audits the machine and compares everything. */
void space_model_compare(void);
/* Ends all spaces and objects; everything must be given back. */
void space_model_end(void);

/* --- between the files of the model ----------------------------------------------------------------------- */

enum page_state { PAGE_FREE, PAGE_UNBACKED, PAGE_MAPPED };

struct model_slot {
    uint64_t words[MODEL_WORDS];
    uint32_t round; /* the fill that was here last */
    bool own;       /* over a file: no longer the file's */
};

/* What an object is. Freed with its last page, if it has no name. */
struct model_memory {
    struct object *named; /* NULL: has no name */
    unsigned rights;
    bool exclusive; /* what is unmapped is forgotten */
    bool linear;    /* fork shares it; never forgets; contiguous or physical */
    bool physical;
    bool is_file;
    bool purgeable, is_volatile, purged;
    uint64_t page_count;  /* of slots */
    uint64_t file_pages;  /* of a file: what lies behind is `bus` */
    uint64_t shown_count; /* pages of spaces that show it, through memory over it too */
    struct model_memory
        *under; /* the file that empty slots show, from page under_first on; or NULL */
    uint64_t under_first;
    struct object *object;               /* of purgeable memory */
    struct model_memory *next_purgeable; /* of model.purgeables */
    struct model_slot *slots;
    struct model_memory *copy; /* during a fork */
};

struct model_page {
    struct model_memory *memory; /* NULL: none */
    uint32_t slot;
    uint8_t state;
    uint8_t prot;
    bool shared;
    bool large;  /* wants 2 MiB pages */
    bool starts; /* a region */
};

struct model_space {
    struct space *space; /* NULL: none */
    struct model_page pages[MODEL_PAGES_MAX];
};

/* A range of pages in the window. */
struct pages {
    uint64_t first, count;
};

struct model {
    struct space_model_config config;
    uint64_t step;
    uint64_t value; /* the last one written */
    uint32_t fill_round;
    uint64_t free_bytes; /* at the start */
    uint64_t focus;      /* the page where the last operation was */
    bool injecting;
    bool squeezed;               /* any operation may reclaim, or find no memory */
    struct model_space *current; /* likely to be used again: its translations stay cached */
    struct model_space spaces[MODEL_SPACES_MAX];
    struct model_memory *named[MODEL_NAMED_MAX]; /* NULL: none */
    struct model_memory *purgeables;
};

extern struct model model;
extern const uint64_t model_word_offsets[MODEL_WORDS];

void model_require(bool holds, const char *format, ...) __attribute__((format(printf, 2, 3)));

static inline uint64_t draw(uint64_t bound)
{
    return model.config.draw(bound);
}

static inline bool one_in(uint64_t bound)
{
    return draw(bound) == 0;
}

static inline uint64_t address_of(uint64_t page)
{
    return model.config.base + page * PAGE_SIZE;
}

/* Near where the last operation was, or anywhere: what is cached there must be met again. */
uint64_t draw_first(uint64_t bound);
uint64_t draw_count(void);
struct pages draw_pages(void);

static inline struct range range_of(struct pages pages)
{
    return (struct range){address_of(pages.first), pages.count * PAGE_SIZE};
}

/* Now and then the next operation is to run out of memory. */
void model_begin(void);
/* The operation has ended as it should; true if it has succeeded. */
bool model_ended(const char *what, result_t result, result_t expected);

/* Nothing may have changed where the last operation was; looks only at small windows. */
void model_compare_after_failure(void);

/* There is as much memory again as there was. */
void model_squeeze_end(void);
/* Now and then, for some steps, there is little memory. */
void model_squeeze_or_not(void);

struct model_memory *model_memory_create(uint64_t page_count, bool exclusive);
/* Private memory over a file, from one of its pages on. */
struct model_memory *model_memory_over(struct model_memory *file, uint64_t first,
                                       uint64_t page_count);
/* Pages of a space show it, or do so no more; with the last of them it may be freed. */
void model_memory_shown(struct model_memory *memory, int64_t more);
/* The pages that its object has. */
static inline uint64_t model_object_pages(const struct model_memory *memory)
{
    return memory->is_file ? memory->file_pages : memory->page_count;
}
void model_memory_free_if_gone(struct model_memory *memory);
/* Makes it at least so long, with fresh slots. */
void model_memory_extend(struct model_memory *memory, uint64_t page_count);

void model_space_create(struct model_space *at);
void model_space_destroy(struct model_space *at);
/* What unmapping does. */
void model_unmap(struct model_space *at, struct pages pages);
/* One region: pages like `page`, slots rising from page->slot. */
void model_show(struct model_space *at, struct pages pages, const struct model_page *page);
void model_fork(const struct model_space *parent, struct model_space *child);
/* Changes rights, splits and merges. */
void model_protect(struct model_space *at, struct pages pages, unsigned prot);

/* What the page holds. */
const uint64_t *model_words(const struct model_page *page);
/* The slot that a write to the page changes. */
struct model_slot *model_written(const struct model_page *page);
/* Has its file no such page? An access is `bus` then. */
bool model_is_beyond(const struct model_page *page);

/* The real object may lose its content from now on, when it is volatile: the model follows. */
void model_purgeable_watch(struct model_memory *memory, struct object *object);
void model_purgeable_forget(struct model_memory *memory);
/* What has been purgeable in the parent is so in the child. */
void model_purgeable_fork(struct model_space *child);

/* Looks at the content of all spaces; of one when windows are large. */
void model_verify_content(void);

/* Operations. */
void model_do_reclaim(struct model_space *at);
void model_do_volatile(struct model_space *at);
void model_do_sync(struct model_space *at);
void model_do_truncate(struct model_space *at);
void model_do_read(struct model_space *at);
void model_do_write(struct model_space *at);
void model_do_exec(struct model_space *at);
void model_do_fill(struct model_space *at);

/* First page of the region that a page lies in, and the page behind its last. */
uint64_t model_region_first(const struct model_space *at, uint64_t page);
uint64_t model_region_end(const struct model_space *at, uint64_t page);

#endif
