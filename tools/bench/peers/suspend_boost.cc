/* SPDX-License-Identifier: MIT */
#include "suspend.h"

#include "clock.h"

#include <boost/context/fiber.hpp>
#include <boost/context/fixedsize_stack.hpp>
#include <boost/fiber/all.hpp>
#include <memory>
#include <optional>
#include <vector>

namespace {

namespace context = boost::context;
namespace fibers = boost::fibers;

/* Bare switches. */

context::fiber make_context(long turns) {
    return context::fiber(std::allocator_arg, context::fixedsize_stack(SUSPEND_STACK_BYTES),
                          [turns](context::fiber &&resumer) {
                              for (long i = 1; i < turns; i++)
                                  resumer = std::move(resumer).resume();
                              return std::move(resumer);
                          });
}

uint64_t switch_contexts(long count) {
    context::fiber other = make_context(count / 2);
    uint64_t start = now_ns();
    for (long i = 0; i < count / 2; i++)
        other = std::move(other).resume();
    return now_ns() - start;
}

std::vector<context::fiber> held_contexts;

void hold_contexts(long count) {
    held_contexts.reserve(static_cast<std::size_t>(count));
    for (long i = 0; i < count; i++)
        held_contexts.push_back(make_context(2).resume());
}

void release_contexts() {
    for (context::fiber &held : held_contexts)
        held = std::move(held).resume();
    held_contexts.clear();
}

/* Tasks with a scheduler. */

template <class function> void run_two(const function &first, const function &second) {
    fibers::fiber left(fibers::launch::post, first), right(fibers::launch::post, second);
    left.join();
    right.join();
}

uint64_t yield_fibers(long count) {
    auto take_turns = [count] {
        for (long i = 0; i < count / 2; i++)
            boost::this_fiber::yield();
    };
    uint64_t start = now_ns();
    run_two(take_turns, take_turns);
    return now_ns() - start;
}

fibers::context *waits_for_turn;

uint64_t suspend_fibers(long count) {
    auto wake_other = [count] {
        for (long i = 0; i < count / 2; i++) {
            fibers::context *self = fibers::context::active(), *other = waits_for_turn;
            waits_for_turn = self;
            if (other)
                self->schedule(other);
            self->suspend();
        }
        if (waits_for_turn)
            fibers::context::active()->schedule(waits_for_turn);
        waits_for_turn = nullptr;
    };
    uint64_t start = now_ns();
    run_two(wake_other, wake_other);
    return now_ns() - start;
}

struct handover {
    explicit handover(long count) : promises(static_cast<std::size_t>(count)) {
        futures.reserve(promises.size());
        for (fibers::promise<void> &promise : promises)
            futures.push_back(promise.get_future());
    }
    std::vector<fibers::promise<void>> promises;
    std::vector<fibers::future<void>> futures;
};

struct side {
    handover *waits, *sets;
    bool sets_first;
    uint64_t *began_ns, *ended_ns;

    void operator()() const {
        *began_ns = now_ns();
        for (std::size_t i = 0; i < waits->futures.size(); i++) {
            if (sets_first)
                sets->promises[i].set_value();
            waits->futures[i].wait();
            if (!sets_first)
                sets->promises[i].set_value();
        }
        *ended_ns = now_ns();
    }
};

uint64_t hand_over_all(long count, bool alone) {
    uint64_t time = 0;
    for (; count > 0; count -= 2 * SUSPEND_PROMISES) {
        handover there(SUSPEND_PROMISES), back(SUSPEND_PROMISES);
        uint64_t began_ns[2], ended_ns[2];
        run_two(side{&there, alone ? &there : &back, alone, &began_ns[0], &ended_ns[0]},
                side{&back, alone ? &back : &there, true, &began_ns[1], &ended_ns[1]});
        time += ended_ns[1] - began_ns[0];
    }
    return time;
}

uint64_t wait_in_fibers(long count) {
    return hand_over_all(count, false);
}

uint64_t wait_alone_in_fibers(long count) {
    return hand_over_all(count, true);
}

template <class allocator> struct held_fibers {
    static inline std::vector<fibers::fiber> held;
    static inline std::optional<fibers::promise<void>> gate;
    static inline std::optional<allocator> stacks;

    static void hold(long count) {
        if (!stacks)
            stacks.emplace(static_cast<std::size_t>(SUSPEND_STACK_BYTES));
        held.reserve(static_cast<std::size_t>(count));
        gate.emplace();
        fibers::shared_future<void> opened = gate->get_future().share();
        long waiting = 0;
        for (long i = 0; i < count; i++)
            held.emplace_back(fibers::launch::post, std::allocator_arg, *stacks,
                              [&waiting, opened] {
                                  waiting++;
                                  opened.wait();
                              });
        while (waiting < count)
            boost::this_fiber::yield();
    }

    static void release() {
        gate->set_value();
        for (fibers::fiber &fiber : held)
            fiber.join();
        held.clear();
    }
};

suspend_peer make_context_peer() {
    suspend_peer made = {};
    made.name = "boost.context";
    made.is_beside = true;
    made.switch_stacks = switch_contexts;
    made.hold = hold_contexts;
    made.release = release_contexts;
    return made;
}

suspend_peer make_fiber_peer() {
    suspend_peer made = {};
    made.name = "boost.fiber";
    made.yield = yield_fibers;
    made.suspend = suspend_fibers;
    made.wait = wait_in_fibers;
    made.wait_over = wait_alone_in_fibers;
    made.hold = held_fibers<fibers::fixedsize_stack>::hold;
    made.release = held_fibers<fibers::fixedsize_stack>::release;
    return made;
}

suspend_peer make_pooled_peer() {
    suspend_peer made = {};
    made.name = "boost.fiber pooled stacks";
    made.hold = held_fibers<fibers::pooled_fixedsize_stack>::hold;
    made.release = held_fibers<fibers::pooled_fixedsize_stack>::release;
    return made;
}

} // namespace

extern "C" const struct suspend_peer suspend_boost_context = make_context_peer();
extern "C" const struct suspend_peer suspend_boost_fiber = make_fiber_peer();
extern "C" const struct suspend_peer suspend_boost_fiber_pooled = make_pooled_peer();
