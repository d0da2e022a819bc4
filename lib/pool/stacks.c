/* SPDX-License-Identifier: MIT
 *
 * A stack is taken, warm (in the list for reuse), spent or cold (a bit of its slab each). A cold
 * one has no memory, and never had or has lost its record at the top; its guard page stays, since
 * neither MADV_GUARD_INSTALL nor mprotect is undone by MADV_DONTNEED.
 *
 *   cold -take_from_slab-> taken -give-> warm -take-> taken
 *                          taken -give, more than warm_limit-> spent -take_from_slab-> taken
 *                                                              spent -return_memory-> cold
 *
 * To return memory interrupts every CPU that the process runs on, because each has to forget the
 * addresses. So it is done when there is more of it than is in use, for half a slab in one call or
 * for a slab of which nothing is in use; and for the rest when a worker has nothing else to do, and
 * none was given back for some time: between two of many tasks that end there is a moment's
 * idleness again and again.
 *
 * Stacks that lie evenly would compete for few places in each cache, since what is in use of each
 * is the same few lines near the top. So the distance between two is an odd number of pages, and
 * tops are shifted by up to 15 lines.
 *
 * Calls that return memory or install guards are made outside the lock, while the stack belongs to
 * the caller alone; only mapping and unmapping a slab happen under it. */
#include "pool/stacks.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/memory.h"

#include <sys/mman.h>
#include <unistd.h>

#if !defined(MADV_GUARD_INSTALL)
#define MADV_GUARD_INSTALL 102
#endif

enum {
    slab_stacks = 64,              /* at most: a slab has one bit for each */
    protected_limit = 16000,       /* each takes two mappings of the 65,530 a process may have */
    warm_bytes = 16 * 1024,        /* what a warm stack keeps at its top */
    checked_bytes = 4096,          /* of the page below a stack without a guard page */
    record_bytes = ATI_CACHE_LINE, /* for the ati_stack at the top */
    shift_count = 16,              /* places for it in the highest page */
    return_least = 32,             /* stacks whose memory is returned by one call, if others work */
    claim_limit = 32,              /* slabs whose memory is returned between two looks */
};

static const at_duration return_delay = AT_MILLISECONDS(20);

struct ati_stack_slab {
    ati_stacks *stacks;
    char *mapping; /* begins with the first stack's guard page */
    size_t mapping_bytes;
    uint32_t count;
    uint32_t protected_count;
    uint64_t all;                    /* a bit for each stack */
    uint64_t cold;                   /* stacks without memory; source lock */
    uint64_t spent;                  /* given back with their memory; source lock */
    uint64_t guarded;                /* stacks with a guard page; source lock */
    ati_stack_slab *next, *previous; /* in a list of the source; source lock */
};

/* In the whole process. */
static _Atomic uint32_t protected_count;

/* -- Slabs; under the lock -- */

/* The list of a slab that is neither unused nor unmapped. */
static ati_stack_slab **find_list(ati_stacks *stacks, const ati_stack_slab *slab) {
    return (slab->cold | slab->spent) != 0 ? &stacks->partial : &stacks->full;
}

static void link_slab(ati_stacks *stacks, ati_stack_slab *slab) {
    ati_stack_slab **list = find_list(stacks, slab);
    slab->previous = NULL;
    slab->next = *list;
    if (slab->next)
        slab->next->previous = slab;
    *list = slab;
}

static void unlink_slab(ati_stacks *stacks, ati_stack_slab *slab) {
    if (slab->previous)
        slab->previous->next = slab->next;
    else
        *find_list(stacks, slab) = slab->next;
    if (slab->next)
        slab->next->previous = slab->previous;
}

static bool map_slab(ati_stacks *stacks, ati_stack_slab *slab, uint32_t count) {
    slab->mapping_bytes = count * stacks->stride;
    slab->mapping = mmap(NULL, slab->mapping_bytes, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (slab->mapping == MAP_FAILED)
        return false;
    (void)madvise(slab->mapping, slab->mapping_bytes, MADV_NOHUGEPAGE);
    slab->count = count;
    slab->all = count == slab_stacks ? UINT64_MAX : ((uint64_t)1 << count) - 1;
    slab->cold = slab->all;
    return true;
}

/* As many stacks as there is address space for, 64 at most. */
static ati_stack_slab *create_slab(ati_stacks *stacks) {
    ati_stack_slab *slab = ati_allocate_zeroed(sizeof *slab);
    if (!slab)
        return NULL;
    slab->stacks = stacks;
    for (uint32_t count = slab_stacks; count > 0; count /= 2)
        if (map_slab(stacks, slab, count)) {
            stacks->slab_count++;
            return slab;
        }
    ati_release(slab, sizeof *slab);
    return NULL;
}

/* One that is in no list any more; without the lock. */
static void unmap_slab(ati_stack_slab *slab) {
    munmap(slab->mapping, slab->mapping_bytes);
    atomic_fetch_sub_explicit(&protected_count, slab->protected_count, memory_order_relaxed);
    ati_release(slab, sizeof *slab);
}

/* A slab with a cold or spent stack, in no list. */
static ati_stack_slab *find_slab(ati_stacks *stacks) {
    ati_stack_slab *slab = stacks->partial;
    if (slab) {
        unlink_slab(stacks, slab);
    } else if (stacks->unused) {
        slab = stacks->unused;
        stacks->unused = NULL;
    } else {
        slab = create_slab(stacks);
    }
    return slab;
}

/* -- One stack, which belongs to the caller -- */

static char *stack_begin(const ati_stack_slab *slab, uint32_t index) {
    return slab->mapping + index * slab->stacks->stride;
}

static char *stack_end(const ati_stack *stack) {
    const ati_stacks *stacks = stack->slab->stacks;
    return stack->lowest - stacks->page_bytes + stacks->stride;
}

static ati_stack *stack_record(const ati_stack_slab *slab, uint32_t index) {
    char *end = stack_begin(slab, index) + slab->stacks->stride;
    return (ati_stack *)(void *)(end - (size_t)record_bytes * (1 + index % shift_count));
}

static uint32_t stack_index(const ati_stack *stack) {
    return (uint32_t)((size_t)(stack->lowest - stack->slab->mapping) / stack->slab->stacks->stride);
}

static bool protect(ati_stack_slab *slab, char *page) {
    if (atomic_fetch_add_explicit(&protected_count, 1, memory_order_relaxed) < protected_limit &&
        mprotect(page, slab->stacks->page_bytes, PROT_NONE) == 0)
        return true;
    atomic_fetch_sub_explicit(&protected_count, 1, memory_order_relaxed);
    return false;
}

/* Sees to the guard page of a stack that has none, with the best that can be had now. */
static bool install_guard(ati_stack_slab *slab, uint32_t index) {
    ati_stacks *stacks = slab->stacks;
    char *page = stack_begin(slab, index);
    bool advised = stacks->guard == ATI_STACK_GUARD_ADVICE &&
                   madvise(page, stacks->page_bytes, MADV_GUARD_INSTALL) == 0;
    bool protected = !advised && stacks->guard != ATI_STACK_GUARD_CHECK && protect(slab, page);
    if (!advised && !protected)
        return false;
    ati_lock_acquire(&stacks->lock);
    slab->guarded |= (uint64_t)1 << index;
    slab->protected_count += protected;
    ati_lock_release(&stacks->lock);
    return true;
}

bool ati_stack_check(const ati_stack *stack) {
    const uint64_t *word = (const uint64_t *)(const void *)(stack->lowest - checked_bytes);
    uint64_t seen = 0;
    for (size_t i = 0; i < checked_bytes / sizeof *word; i++)
        seen |= word[i];
    return seen == 0;
}

/* -- Taking -- */

static ati_stack *take_warm(ati_stacks *stacks, uint32_t count) {
    ati_lock_acquire(&stacks->lock);
    ati_stack *list = stacks->warm;
    ati_stack **end = &list;
    uint32_t taken = 0;
    for (; *end && taken < count; taken++)
        end = &(*end)->next;
    stacks->warm = *end;
    stacks->warm_count -= taken;
    stacks->taken_count += taken;
    ati_lock_release(&stacks->lock);
    *end = NULL;
    return list;
}

static void add_spent(ati_stacks *stacks, uint32_t change) {
    uint32_t count = atomic_load_explicit(&stacks->spent_count, memory_order_relaxed);
    atomic_store_explicit(&stacks->spent_count, count + change, memory_order_relaxed);
}

/* Under the lock: takes a bit out of the slab; one with memory if there is one. */
static uint32_t take_bit(ati_stacks *stacks, ati_stack_slab *slab) {
    uint64_t *bits = slab->spent ? &slab->spent : &slab->cold;
    uint32_t index = (uint32_t)__builtin_ctzll(*bits);
    if (slab->spent)
        add_spent(stacks, (uint32_t)-1);
    *bits &= *bits - 1;
    return index;
}

static ati_stack *take_from_slab(ati_stacks *stacks) {
    ati_lock_acquire(&stacks->lock);
    ati_stack_slab *slab = find_slab(stacks);
    if (!slab) {
        ati_lock_release(&stacks->lock);
        return NULL;
    }
    uint32_t index = take_bit(stacks, slab);
    link_slab(stacks, slab);
    stacks->taken_count++;
    bool is_guarded = slab->guarded >> index & 1;
    ati_lock_release(&stacks->lock);
    is_guarded = is_guarded || install_guard(slab, index);
    ati_stack *stack = stack_record(slab, index);
    *stack = (ati_stack){
        .lowest = stack_begin(slab, index) + stacks->page_bytes,
        .slab = slab,
        .is_checked = !is_guarded,
    };
    return stack;
}

ati_stack *ati_stacks_take(ati_stacks *stacks, uint32_t count) {
    ati_stack *list = take_warm(stacks, count);
    return list ? list : take_from_slab(stacks);
}

/* -- Giving -- */

/* Takes what lies between the addresses back to "never touched". */
static void return_memory(char *from, char *to) {
    if (from < to)
        (void)madvise(from, (size_t)(to - from), MADV_DONTNEED);
}

/* How many of `count` stacks may stay warm; they are counted at once and listed later. */
static uint32_t reserve_warm(ati_stacks *stacks, uint32_t count) {
    ati_lock_acquire(&stacks->lock);
    uint32_t room = stacks->warm_limit - stacks->warm_count;
    if (count > room)
        count = room;
    stacks->warm_count += count;
    stacks->taken_count -= count;
    ati_lock_release(&stacks->lock);
    return count;
}

/* Keeps the first `count` of the list; gives the others. */
static ati_stack *keep_warm(ati_stacks *stacks, ati_stack *list, uint32_t count) {
    ati_stack **end = &list;
    for (uint32_t i = 0; i < count; i++) {
        return_memory((*end)->lowest, stack_end(*end) - warm_bytes);
        end = &(*end)->next;
    }
    ati_stack *others = *end;
    ati_lock_acquire(&stacks->lock);
    *end = stacks->warm;
    stacks->warm = list;
    ati_lock_release(&stacks->lock);
    return others;
}

/* Some stacks of a slab whose memory is being returned; they are nobody else's meanwhile. */
typedef struct claim {
    ati_stack_slab *slab;
    uint64_t stacks;
} claim;

/* Under the lock. */
static claim claim_spent(ati_stacks *stacks, ati_stack_slab *slab) {
    claim claimed = {slab, slab->spent};
    unlink_slab(stacks, slab);
    slab->spent = 0;
    link_slab(stacks, slab);
    add_spent(stacks, -(uint32_t)__builtin_popcountll(claimed.stacks));
    return claimed;
}

/* Stacks that lie side by side go together. */
static void return_claim(const claim *claimed) {
    uint64_t left = claimed->stacks;
    while (left != 0) {
        uint32_t first = (uint32_t)__builtin_ctzll(left);
        uint64_t others = ~(left >> first);
        uint32_t count = others ? (uint32_t)__builtin_ctzll(others) : slab_stacks - first;
        return_memory(stack_begin(claimed->slab, first), stack_begin(claimed->slab, first + count));
        left &= ~((count == slab_stacks ? UINT64_MAX : ((uint64_t)1 << count) - 1) << first);
    }
}

/* Under the lock: the memory has been returned. */
static void end_claim(ati_stacks *stacks, const claim *claimed) {
    ati_stack_slab *slab = claimed->slab;
    unlink_slab(stacks, slab);
    slab->cold |= claimed->stacks;
    if (slab->cold == slab->all && !stacks->unused) {
        slab->next = NULL;
        stacks->unused = slab;
    } else {
        link_slab(stacks, slab);
    }
}

static bool is_unused(const ati_stack_slab *slab) {
    return (slab->spent | slab->cold) == slab->all;
}

/* Under the lock. */
static void withdraw_slab(ati_stacks *stacks, ati_stack_slab *slab) {
    unlink_slab(stacks, slab);
    add_spent(stacks, -(uint32_t)__builtin_popcountll(slab->spent));
    stacks->slab_count--;
}

/* Under the lock: whether the memory of the slab's spent stacks is to be returned although others
 * work: when there is more of it than is in use, in few calls. */
static bool is_ripe(const ati_stacks *stacks, const ati_stack_slab *slab) {
    int calls = __builtin_popcountll(slab->spent & ~(slab->spent << 1));
    return atomic_load_explicit(&((ati_stacks *)stacks)->spent_count, memory_order_relaxed) >
               stacks->taken_count + stacks->warm_limit &&
           (__builtin_popcountll(slab->spent) >= return_least * calls || is_unused(slab));
}

/* Returns what was claimed, and the whole of `withdrawn` if there is one. */
static void return_all(ati_stacks *stacks, const claim *claims, uint32_t count,
                       ati_stack_slab *withdrawn) {
    while (withdrawn) {
        ati_stack_slab *next = withdrawn->next;
        unmap_slab(withdrawn);
        withdrawn = next;
    }
    for (uint32_t i = 0; i < count; i++)
        return_claim(&claims[i]);
    if (count == 0)
        return;
    ati_lock_acquire(&stacks->lock);
    for (uint32_t i = 0; i < count; i++)
        end_claim(stacks, &claims[i]);
    ati_lock_release(&stacks->lock);
}

static void let_go(ati_stacks *stacks, ati_stack *stack) {
    ati_stack_slab *slab = stack->slab;
    uint64_t bit = (uint64_t)1 << stack_index(stack);
    claim claimed = {0};
    ati_stack_slab *withdrawn = NULL;
    ati_lock_acquire(&stacks->lock);
    stacks->taken_count--;
    unlink_slab(stacks, slab);
    slab->spent |= bit;
    add_spent(stacks, 1);
    atomic_store_explicit(&stacks->spent_at, ati_coarse_ns(), memory_order_relaxed);
    link_slab(stacks, slab);
    bool is_due = is_ripe(stacks, slab);
    if (is_due && stacks->unused && is_unused(slab)) {
        withdraw_slab(stacks, slab);
        withdrawn = slab;
        withdrawn->next = NULL;
    } else if (is_due) {
        claimed = claim_spent(stacks, slab);
    }
    ati_lock_release(&stacks->lock);
    return_all(stacks, &claimed, claimed.slab != NULL, withdrawn);
}

int64_t ati_stacks_return_at(const ati_stacks *stacks) {
    if (!ati_stacks_has_spent(stacks))
        return AT_FOREVER;
    return atomic_load_explicit(&((ati_stacks *)stacks)->spent_at, memory_order_relaxed) +
           return_delay;
}

void ati_stacks_return(ati_stacks *stacks) {
    claim claims[claim_limit];
    uint32_t count = 0;
    uint32_t looks = 0;
    ati_stack_slab *withdrawn = NULL;
    ati_lock_acquire(&stacks->lock);
    ati_stack_slab *next;
    for (ati_stack_slab *slab = stacks->partial; slab && looks < claim_limit; slab = next) {
        next = slab->next;
        if (!slab->spent && !is_unused(slab))
            continue;
        looks++;
        if (stacks->unused && is_unused(slab)) {
            withdraw_slab(stacks, slab);
            slab->next = withdrawn;
            withdrawn = slab;
        } else if (slab->spent) {
            claims[count++] = claim_spent(stacks, slab);
        }
    }
    ati_lock_release(&stacks->lock);
    return_all(stacks, claims, count, withdrawn);
}

void ati_stacks_give(ati_stacks *stacks, ati_stack *list) {
    uint32_t count = 0;
    for (const ati_stack *stack = list; stack; stack = stack->next)
        count++;
    uint32_t warm = reserve_warm(stacks, count);
    if (warm > 0)
        list = keep_warm(stacks, list, warm);
    while (list) {
        ati_stack *stack = list;
        list = stack->next;
        let_go(stacks, stack);
    }
}

/* -- The source -- */

void ati_stacks_init(ati_stacks *stacks, size_t stack_bytes, uint32_t warm_limit,
                     ati_stack_guard guard) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t pages = (stack_bytes + page - 1) / page;
    *stacks = (ati_stacks){
        .stride = ((pages + 1) | 1) * page,
        .page_bytes = page,
        .warm_limit = warm_limit,
        .guard = guard,
    };
}

/* All but the one that this code runs on, if it does. */
static void destroy_slabs(ati_stacks *stacks, ati_stack_slab *slab) {
    const char *here = __builtin_frame_address(0);
    while (slab) {
        ati_stack_slab *next = slab->next;
        if (here < slab->mapping || here >= slab->mapping + slab->mapping_bytes)
            unmap_slab(slab);
        stacks->slab_count--;
        slab = next;
    }
}

void ati_stacks_abandon(ati_stacks *stacks) {
    destroy_slabs(stacks, stacks->partial);
    destroy_slabs(stacks, stacks->full);
    destroy_slabs(stacks, stacks->unused);
    *stacks = (ati_stacks){
        .stride = stacks->stride,
        .page_bytes = stacks->page_bytes,
        .warm_limit = stacks->warm_limit,
        .guard = stacks->guard,
    };
}

void ati_stacks_deinit(ati_stacks *stacks) {
    ati_stack *list = take_warm(stacks, UINT32_MAX);
    stacks->warm_limit = 0;
    ati_stacks_give(stacks, list);
    ATI_ASSERT(stacks->taken_count == 0 && !stacks->full);
    destroy_slabs(stacks, stacks->partial);
    destroy_slabs(stacks, stacks->unused);
    ATI_ASSERT(stacks->slab_count == 0);
}
