/* SPDX-License-Identifier: MIT */
#ifndef BENCH_PEERS_FORK_PROGRAMS_H
#define BENCH_PEERS_FORK_PROGRAMS_H

#include "fork.h"

/* The programs for every framework of C++. One of them has these static functions, which are
 * inlined, so that what is compiled is what one writes by hand:
 *   pair(left, right)  runs both, left may go elsewhere, and waits;
 *   each(count, turn)  runs turn(0) to turn(count - 1), all but the last may go elsewhere, waits;
 *   loop(pool, count, turn)  the like for a loop of many turns, from outside the pool;
 *   enter(pool, body)  runs body() on the pool. */
template <class framework> struct fork_programs {
    static int64_t find_fibonacci(int64_t n) {
        if (n < 2)
            return n;
        int64_t left, right;
        framework::pair([&left, n] { left = find_fibonacci(n - 1); },
                        [&right, n] { right = find_fibonacci(n - 2); });
        return left + right;
    }

    static int64_t add_leaves(int64_t first, int64_t count) {
        if (count == 1)
            return first;
        int64_t parts[SKYNET_CHILDREN], sum = 0, share = count / SKYNET_CHILDREN;
        framework::each(SKYNET_CHILDREN, [&parts, first, share](int i) {
            parts[i] = add_leaves(first + i * share, share);
        });
        for (int64_t part : parts)
            sum += part;
        return sum;
    }

    static int64_t count_queens(const queens_board &board, int row, int size) {
        if (row == size)
            return 1;
        queens_board boards[QUEENS_MAX];
        int64_t parts[QUEENS_MAX], count = 0;
        int safe = 0;
        for (int column = 0; column < size; column++) {
            if (!queens_fit(&board, row, column))
                continue;
            boards[safe] = board;
            boards[safe++].columns[row] = static_cast<signed char>(column);
        }
        framework::each(safe, [&parts, &boards, row, size](int i) {
            parts[i] = count_queens(boards[i], row + 1, size);
        });
        for (int i = 0; i < safe; i++)
            count += parts[i];
        return count;
    }

    static int64_t count_nodes(tree_node node, int64_t full_levels) {
        int64_t parts[TREE_CHILDREN], count = 1;
        int children = tree_child_count(node, full_levels);
        if (children == 0)
            return count;
        framework::each(children, [&parts, node, full_levels](int i) {
            parts[i] = count_nodes(tree_child(node, i), full_levels);
        });
        for (int i = 0; i < children; i++)
            count += parts[i];
        return count;
    }

    /* There is never anything to do but the one fork. */
    static int64_t follow_chain(int64_t links) {
        uint64_t state = 0;
        for (int64_t i = 0; i < links; i++)
            framework::pair([&state] { state = chain_link(state); }, [] {});
        return static_cast<int64_t>(state);
    }

    static void multiply(const fork_work *work, matrix_block block) {
        if (block.extent == MATRIX_BLOCK) {
            matrix_multiply_block(work, block);
            return;
        }
        for (int inner = 0; inner < 8; inner += 4)
            framework::each(
                4, [work, block, inner](int i) { multiply(work, matrix_part(block, inner + i)); });
    }

    template <class function> static int64_t enter(void *pool, const function &body) {
        int64_t result = 0;
        framework::enter(pool, [&result, &body] { result = body(); });
        return result;
    }

    static int64_t run_fibonacci(void *pool, const fork_work *work) {
        return enter(pool, [work] { return find_fibonacci(work->size); });
    }

    static int64_t run_skynet(void *pool, const fork_work *work) {
        return enter(pool, [work] { return add_leaves(0, work->size); });
    }

    static int64_t run_queens(void *pool, const fork_work *work) {
        return enter(
            pool, [work] { return count_queens(queens_board(), 0, static_cast<int>(work->size)); });
    }

    static int64_t run_tree(void *pool, const fork_work *work) {
        return enter(pool, [work] { return count_nodes(tree_root(), work->size); });
    }

    static int64_t run_chain(void *pool, const fork_work *work) {
        return enter(pool, [work] { return follow_chain(work->size); });
    }

    static int64_t run_matrix(void *pool, const fork_work *work) {
        return enter(pool, [work] {
            multiply(work, matrix_block{0, 0, 0, work->size});
            return 0;
        });
    }

    static int64_t run_loop(void *pool, const fork_work *work) {
        framework::loop(pool, matrix_square_count(work),
                        [work](int64_t i) { matrix_compute_square(work, i); });
        return 0;
    }

    static fork_peer make_peer(const char *name, void *(*create)(int), void (*destroy)(void *)) {
        fork_peer made = {};
        made.name = name;
        made.is_slow = true;
        made.create = create;
        made.destroy = destroy;
        made.programs[FORK_FIBONACCI] = run_fibonacci;
        made.programs[FORK_SKYNET] = run_skynet;
        made.programs[FORK_QUEENS] = run_queens;
        made.programs[FORK_TREE] = run_tree;
        made.programs[FORK_CHAIN] = run_chain;
        made.programs[FORK_MATRIX] = run_matrix;
        made.programs[FORK_LOOP] = run_loop;
        return made;
    }
};

#endif
