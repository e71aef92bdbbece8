/* The kernel heap. See heap.h. */
#include "core/mm/heap.h"

#include "core/check.h"
#include "core/machine.h"
#include "core/mm/frames.h"

#define SLAB_NONE 0u /* frame 0 is never handed out */

struct heap heap;

static const uint16_t class_sizes[HEAP_CLASSES] = {32, 64, 96, 128, 192, 256, 512, 1024, 2048};

void heap_init(void)
{
    lock_init(&heap.lock, RANK_HEAP, "heap");
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

/* Makes a slab with all objects free. NULL: no frame. */
__attribute__((noinline)) static struct frame *slab_create(struct heap_class *class)
    REQUIRES(heap.lock)
{
    phys_t page;
    if (frames_take_uninjected(FRAME_HEAP, &page) != OK)
        return NULL;
    char *start = machine_phys_to_virt(page);
    void *next = NULL;
    for (uint32_t i = class->objects_per_slab; i-- > 0;) {
        void **object = (void **)(start + i * class->size_bytes);
        *object = next;
        next = object;
    }
    ASSERT(next != NULL); /* no class is without objects */
    struct frame *slab = frame_of(page);
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

static void give_object(struct heap_class *class, void *object) REQUIRES(heap.lock)
{
    struct frame *slab = frame_of_virt(object);
    DEBUG_ASSERT(slab->kind == FRAME_HEAP && slab->live > 0);
    if (UNLIKELY(!slab->slab.free))
        move_slab(&class->full, &class->available, slab);
    *(void **)object = slab->slab.free;
    slab->slab.free = object;
    slab->live--;
    class->live_count--;
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
    while (check_level < 2 && filled < HEAP_CACHE_MAX / 2 && class->available != SLAB_NONE)
        cache->objects[filled++] = take_object(class);
    lock_release(&heap.lock);
    __atomic_store_n(&cache->count, filled, __ATOMIC_RELEASE);
    if (!object)
        machine_cpu()->counters[COUNTER_HEAP_ALLOC]--; /* has been counted in advance */
    return object;
}

static void drain_cache(unsigned index, struct heap_cache *cache, uint32_t keep) REQUIRES(heap.lock)
{
    uint32_t claimed = __atomic_exchange_n(&cache->count, 0, __ATOMIC_ACQUIRE);
    while (claimed > keep)
        give_object(&heap.classes[index], cache->objects[--claimed]);
    __atomic_store_n(&cache->count, claimed, __ATOMIC_RELEASE);
}

/* This CPU's cache is full, empty or being emptied. */
void heap_class_free(unsigned index, void *object)
{
    lock_acquire(&heap.lock);
    drain_cache(index, &machine_cpu()->mm->heap[index], HEAP_CACHE_MAX / 2);
    give_object(&heap.classes[index], object);
    lock_release(&heap.lock);
}

static void drain_caches(void) REQUIRES(heap.lock)
{
    for (unsigned cpu = 0; cpu < mm_cpu_count(); cpu++) {
        for (unsigned index = 0; index < HEAP_CLASSES; index++) {
            if (__atomic_load_n(&mm_cpus[cpu].heap[index].count, __ATOMIC_RELAXED) != 0)
                drain_cache(index, &mm_cpus[cpu].heap[index], 0);
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
