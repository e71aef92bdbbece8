/* The kernel heap. See heap.h. */
#include "core/mm/heap.h"

#include "core/check.h"
#include "core/log.h"
#include "core/machine.h"
#include "core/mm/frames.h"
#include "core/mm/internal.h"
#include "core/write_window.h"

#define SLAB_NONE 0u /* frame 0 is never handed out */
/* A slab's class stands in its frame's flags, above those of frames. */
#define SLAB_CLASS_SHIFT 4
#define POISON 0xdeadbea7edc0ffeeull
#define SITE_MASK 0xffffffffull
#define POISON_HIGH (POISON & ~SITE_MASK)

struct heap heap;

static const uint16_t class_sizes[HEAP_CLASSES] = {32, 64, 96, 128, 192, 256, 512, 1024, 2048};

void heap_init(void)
{
    lock_init(&heap.lock, RANK_HEAP, "heap");
    heap.checked = check_level >= 2;
    for (unsigned i = 0; i < HEAP_CLASSES; i++) {
        heap.classes[i].size_bytes = class_sizes[i];
        heap.classes[i].objects_per_slab = (uint32_t)(PAGE_SIZE / class_sizes[i]);
    }
}

static uint32_t number_of(const struct frame *slab)
{
    return (uint32_t)(slab - frames.entries);
}

static void list_push(uint32_t *head, struct frame *slab)
{
    slab->slab.next = *head;
    slab->slab.previous = SLAB_NONE;
    if (*head != SLAB_NONE)
        frames.entries[*head].slab.previous = number_of(slab);
    *head = number_of(slab);
}

static void list_unlink(uint32_t *head, struct frame *slab)
{
    if (slab->slab.previous != SLAB_NONE)
        frames.entries[slab->slab.previous].slab.next = slab->slab.next;
    else
        *head = slab->slab.next;
    if (slab->slab.next != SLAB_NONE)
        frames.entries[slab->slab.next].slab.previous = slab->slab.previous;
}

/* --- check level 2 ----------------------------------------------------------------------------------- */

/* A free object, at check level 2. */
struct unused {
    struct unused *next;
    uint64_t site;    /* POISON_HIGH | low half of the address that freed it; 0 there: nobody */
    uint64_t words[]; /* POISON */
};

static uint64_t unused_words(unsigned index)
{
    return (class_sizes[index] - sizeof(struct unused)) / sizeof(uint64_t);
}

static unsigned class_of_slab(const struct frame *slab)
{
    return slab->flags >> SLAB_CLASS_SHIFT;
}

static void poison_object(unsigned index, void *object, const void *site)
{
    struct unused *unused = object;
    unused->site = POISON_HIGH | (uint32_t)(uintptr_t)site;
    for (uint64_t i = 0; i < unused_words(index); i++)
        unused->words[i] = POISON;
}

/* Is it NULL, or an object of the slab in which `object` is? */
static bool may_be_next(unsigned index, const void *object, const void *next)
{
    uint64_t page = page_floor((uint64_t)object);
    return !next || (page_floor((uint64_t)next) == page &&
                     ((uint64_t)next - page) % class_sizes[index] == 0);
}

[[gnu::noreturn]] static void complain_written(unsigned index, const struct unused *unused,
                                               const uint64_t *word)
{
    panic("free heap object %p of %u bytes was written to: offset %lu holds 0x%lx; "
          "it was freed at ...%08x",
          (const void *)unused, class_sizes[index],
          (unsigned long)((uint64_t)word - (uint64_t)unused), (unsigned long)*word,
          (unsigned)unused->site);
}

/* Takes what is at hand for poison into use. */
static void check_unused(unsigned index, const struct unused *unused)
{
    if (!may_be_next(index, unused, unused->next))
        complain_written(index, unused, (const uint64_t *)(const void *)&unused->next);
    if ((unused->site & ~SITE_MASK) != POISON_HIGH)
        complain_written(index, unused, &unused->site);
    for (uint64_t i = 0; i < unused_words(index); i++) {
        if (unused->words[i] != POISON)
            complain_written(index, unused, &unused->words[i]);
    }
}

static bool is_unused(const struct frame *slab, const void *object)
{
    uint32_t limit = heap.classes[class_of_slab(slab)].objects_per_slab;
    const struct unused *unused = slab->slab.free;
    while (unused && unused != object && limit-- > 0)
        unused = unused->next;
    return unused && unused == object;
}

/* Panics unless it is an object of this class in use. */
static void check_used(unsigned index, const void *object, const void *site)
{
    uint64_t number = machine_virt_to_phys(object).value >> PAGE_SHIFT;
    const struct frame *slab = &frames.entries[number];
    if (number >= frames.count)
        panic("%p, freed at %p, is no heap object: it is not in RAM", object, site);
    if (slab->kind != FRAME_HEAP)
        panic("%p, freed at %p, is no heap object: its frame's kind is %s", object, site,
              frame_kind_name(slab->kind));
    if (class_of_slab(slab) != index)
        panic("heap object %p, freed at %p as one of %u bytes, is in a slab of %u bytes", object,
              site, class_sizes[index], class_sizes[class_of_slab(slab)]);
    if (((uint64_t)object & PAGE_MASK) % class_sizes[index] != 0)
        panic("%p, freed at %p, is inside a heap object of %u bytes", object, site,
              class_sizes[index]);
    if (is_unused(slab, object))
        panic("heap object %p of %u bytes is freed twice: at ...%08x and at %p", object,
              class_sizes[index], (unsigned)((const struct unused *)object)->site, site);
}

void heap_describe_address(phys_t at)
{
    const struct frame *slab = frame_of(at);
    unsigned index = class_of_slab(slab);
    uint64_t offset = at.value & PAGE_MASK;
    uint64_t inside = offset % class_sizes[index];
    char *object = (char *)machine_phys_to_virt(phys(at.value - inside));
    bool is_object = offset / class_sizes[index] < heap.classes[index].objects_per_slab;
    log_panic_line("it is byte %lu of heap object %p of %u bytes (%s), slab of %u in use",
                   (unsigned long)inside, (void *)object, class_sizes[index],
                   !is_object                ? "the unused end of a slab"
                   : is_unused(slab, object) ? "free"
                                             : "in use",
                   slab->live);
}

/* --- slabs --------------------------------------------------------------------------------------------- */

/* Makes a slab with all objects free. NULL: no frame. */
__attribute__((noinline)) static struct frame *slab_create(struct heap_class *class)
    REQUIRES(heap.lock)
{
    phys_t page;
    if (frames_take_uninjected(FRAME_HEAP, &page) != OK)
        return NULL;
    frame_wipe(page);
    char *start = machine_phys_to_virt(page);
    void *next = NULL;
    unsigned index = (unsigned)(class - heap.classes);
    for (uint32_t i = class->objects_per_slab; i-- > 0;) {
        void **object = (void **)(start + i * class->size_bytes);
        *object = next;
        next = object;
        if (heap.checked)
            poison_object(index, object, NULL);
    }
    ASSERT(next != NULL); /* no class is without objects */
    if (heap.checked)
        kernel_page_protect(page, KERNEL_PAGE_READ_ONLY);
    struct frame *slab = frame_of(page);
    slab->flags = (uint8_t)(index << SLAB_CLASS_SHIFT);
    slab->slab.free = next;
    slab->live = 0;
    list_push(&class->available, slab);
    class->slab_count++;
    return slab;
}

/* The slab's last free object was taken, or its first came back. */
__attribute__((noinline)) static void move_slab(uint32_t *from, uint32_t *to, struct frame *slab)
    REQUIRES(heap.lock)
{
    list_unlink(from, slab);
    list_push(to, slab);
}

/* NULL: no memory. */
static void *take_object(struct heap_class *class) REQUIRES(heap.lock)
{
    struct frame *slab = &frames.entries[class->available];
    if (UNLIKELY(class->available == SLAB_NONE) && !(slab = slab_create(class)))
        return NULL;
    void **object = slab->slab.free;
    slab->slab.free = *object;
    slab->live++;
    class->live_count++;
    if (UNLIKELY(!slab->slab.free))
        move_slab(&class->available, &class->full, slab);
    return object;
}

/* But for the class's count of live objects. */
__attribute__((always_inline)) static inline void give_object(struct heap_class *class,
                                                              void *object) REQUIRES(heap.lock)
{
    struct frame *slab = frame_of_virt(object);
    DEBUG_ASSERT(slab->kind == FRAME_HEAP && slab->live > 0);
    if (UNLIKELY(!slab->slab.free))
        move_slab(&class->full, &class->available, slab);
    *(void **)object = slab->slab.free;
    slab->slab.free = object;
    slab->live--;
}

/* Gives claimed objects of a cache back to their slabs, down to `keep`. */
static inline void give_objects(struct heap_class *class, const struct heap_cache *cache,
                                uint32_t claimed, uint32_t keep) REQUIRES(heap.lock)
{
    class->live_count -= claimed - keep;
    while (claimed > keep)
        give_object(class, cache->objects[--claimed]);
}

static void hand_out_checked(unsigned index, struct unused *object) REQUIRES(heap.lock)
{
    if (!object)
        return;
    check_unused(index, object);
    object->next = (struct unused *)POISON;
    object->site = POISON;
    write_window_making();
}

/* This CPU's cache is empty, or being emptied: takes an object, and half a cache more of those that
 * are free in slabs that exist. */
void *heap_class_alloc(unsigned index)
{
    struct heap_class *class = &heap.classes[index];
    struct heap_cache *cache = &machine_cpu()->mm->heap[index];
    uint32_t filled = 0;
    lock_acquire(&heap.lock);
    void *object = take_object(class);
    if (UNLIKELY(heap.checked)) {
        hand_out_checked(index, object);
    } else {
        while (filled < HEAP_CACHE_MAX / 2 && class->available != SLAB_NONE)
            cache->objects[filled++] = take_object(class);
    }
    lock_release(&heap.lock);
    __atomic_store_n(&cache->count, filled, __ATOMIC_RELEASE);
    if (!object)
        machine_cpu()->counters[COUNTER_HEAP_ALLOC]--; /* has been counted in advance */
    return object;
}

static void drain_cache(unsigned index, struct heap_cache *cache) REQUIRES(heap.lock)
{
    uint32_t claimed = __atomic_exchange_n(&cache->count, 0, __ATOMIC_ACQUIRE);
    give_objects(&heap.classes[index], cache, claimed, 0);
}

/* A full cache is emptied by half first. */
static void cache_object(unsigned index, struct heap_cache *cache, void *object) REQUIRES(heap.lock)
{
    uint32_t claimed = __atomic_exchange_n(&cache->count, 0, __ATOMIC_ACQUIRE);
    uint32_t keep = claimed < HEAP_CACHE_MAX ? claimed : HEAP_CACHE_MAX / 2;
    give_objects(&heap.classes[index], cache, claimed, keep);
    claimed = keep;
    cache->objects[claimed] = object;
    __atomic_store_n(&cache->count, claimed + 1, __ATOMIC_RELEASE);
}

__attribute__((noinline)) static void free_checked(unsigned index, void *object, const void *site)
{
    lock_acquire(&heap.lock);
    check_used(index, object, site);
    poison_object(index, object, site);
    give_object(&heap.classes[index], object);
    heap.classes[index].live_count--;
    lock_release(&heap.lock);
    write_window_made();
}

/* This CPU's cache is full, empty or being emptied. */
void heap_class_free(unsigned index, void *object)
{
    if (UNLIKELY(heap.checked)) {
        free_checked(index, object, __builtin_return_address(0));
        return;
    }
    lock_acquire(&heap.lock);
    cache_object(index, &machine_cpu()->mm->heap[index], object);
    lock_release(&heap.lock);
}

static void drain_caches(void) REQUIRES(heap.lock)
{
    for (unsigned cpu = 0; cpu < mm_cpu_count(); cpu++) {
        for (unsigned index = 0; index < HEAP_CLASSES; index++) {
            if (__atomic_load_n(&mm_cpus[cpu].heap[index].count, __ATOMIC_RELAXED) != 0)
                drain_cache(index, &mm_cpus[cpu].heap[index]);
        }
    }
}

static void trim_class(struct heap_class *class) REQUIRES(heap.lock)
{
    uint32_t number = class->available;
    while (number != SLAB_NONE) {
        struct frame *slab = &frames.entries[number];
        number = slab->slab.next;
        if (slab->live != 0)
            continue;
        list_unlink(&class->available, slab);
        class->slab_count--;
        if (heap.checked)
            kernel_page_protect(frame_phys(slab), KERNEL_PAGE_WRITABLE);
        frames_give(frame_phys(slab));
    }
}

void heap_trim(void)
{
    lock_acquire(&heap.lock);
    drain_caches();
    for (unsigned i = 0; i < HEAP_CLASSES; i++)
        trim_class(&heap.classes[i]);
    lock_release(&heap.lock);
}

uint64_t heap_live_count(void)
{
    uint64_t live = 0;
    lock_acquire(&heap.lock);
    drain_caches();
    lock_release(&heap.lock);
    for (unsigned i = 0; i < HEAP_CLASSES; i++)
        live += heap.classes[i].live_count;
    return live;
}
