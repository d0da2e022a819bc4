/* SPDX-License-Identifier: MIT
 *
 * The log of a process that ends by a signal (rule J3), with the handler of
 * at_crash_handler_install: every line whose call had returned is in the file, perhaps twice, none
 * is torn, and one more says what happened. Each case is a fork of this program. */
#include "base/clock.h"
#include "log/core.h"
#include "plain/log_support.h"
#include "pool/fiber_tools.h"
#include "support/plain.h"

#include <asynctools/asynctools.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#if defined(__SANITIZE_THREAD__)
/* What the handler reads of threads that go on cannot be synchronised with them. */
const char *__tsan_default_options(void);
const char *__tsan_default_options(void) {
    return "report_bugs=0";
}
#endif

enum {
    WRITERS = 4,
    LINES_BEFORE = 500, /* of each writer, before anything happens */
    MOST_LINES = 20000,
    EXIT_BY_PREVIOUS = 42,
    MORE_MOMENTS = 8,   /* for the signal that finds the backend anywhere */
    PATIENCE_MS = 1000, /* of the handler, before it writes itself what the backend may write too */
};

/* What the child tells the test, in memory of both. */
static struct shared {
    _Atomic int written[WRITERS]; /* lines whose calls have returned */
    int before_crash[WRITERS];    /* the same, when the crash began */
    int crasher_lines;            /* of the thread that crashes */
    int64_t crash_began;
} * shared;

static at_logger *logger;
static char path[] = "/tmp/at-log-crash-XXXXXX";

/* -- What the children do -- */

static void *write_lines(void *argument) {
    int writer = (int)(size_t)argument;
    for (int i = 0; i < MOST_LINES; i++) {
        at_log_info(logger, "number", at_kv("writer", writer), at_kv("number", i),
                    at_kv("text", "of several words, so that lines are of some length"));
        atomic_store_explicit(&shared->written[writer], i + 1, memory_order_release);
    }
    for (;;)
        pause();
    return NULL;
}

static void open_log(bool use_stderr) {
    at_logger_options options = {.name = "crash",
                                 .path = path,
                                 .use_stderr = use_stderr,
                                 .ring_bytes = 16 * 1024 * 1024,
                                 .max_ring_bytes = 256 * 1024 * 1024};
    plain_check(at_logger_create(&logger, &options) == AT_OK);
    plain_check(at_crash_handler_install() == AT_OK);
}

static void start_writers(void) {
    for (size_t i = 0; i < WRITERS; i++) {
        pthread_t thread;
        plain_check(pthread_create(&thread, NULL, write_lines, (void *)i) == 0);
    }
    for (int i = 0; i < WRITERS; i++)
        while (atomic_load_explicit(&shared->written[i], memory_order_acquire) < LINES_BEFORE)
            sched_yield();
}

static void log_own_line(void) {
    at_log_info(logger, "last", at_kv("number", shared->crasher_lines));
    shared->crasher_lines++;
}

static void note_lines(void) {
    for (int i = 0; i < 3; i++)
        log_own_line();
    for (int i = 0; i < WRITERS; i++)
        shared->before_crash[i] = atomic_load_explicit(&shared->written[i], memory_order_acquire);
    shared->crash_began = ati_monotonic_ns();
}

static void read_nothing(void) {
    volatile char *volatile nothing = (volatile char *)8;
    *nothing = 1;
}

static void fault(void) {
    open_log(false);
    start_writers();
    note_lines();
    read_nothing();
}

static void abort_process(void) {
    open_log(false);
    start_writers();
    note_lines();
    abort();
}

/* Below it lies a page that nobody may touch. */
static void use_alternate_stack(size_t size) {
    enum { GUARD = 64 * 1024 };
    char *memory =
        mmap(NULL, GUARD + size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    plain_check(memory != MAP_FAILED && mprotect(memory, GUARD, PROT_NONE) == 0);
    plain_check(sigaltstack(&(stack_t){.ss_sp = memory + GUARD, .ss_size = size}, NULL) == 0);
}

/* No larger than a thread's own has to be, see crash.h. */
static void crash_on_a_small_stack(void) {
    enum { LEAST = 16 * 1024, NEEDED = 12 * 1024 };
    size_t size = (size_t)sysconf(_SC_MINSIGSTKSZ) + NEEDED;
    open_log(true);
    use_alternate_stack(size > LEAST ? size : LEAST);
    start_writers();
    note_lines();
    abort();
}

static int descend(int level) {
    volatile char block[512];
    memset((char *)block, level, sizeof block);
    if (level >= 0) /* for ever, but the compiler does not know */
        level = descend(level + 1);
    return block[0] + level;
}

static void *dig(void *unused) {
    note_lines();
    descend(0);
    return unused;
}

static void overflow(void) {
    open_log(false);
    start_writers();
    at_pool *pool;
    at_pool_options options = {.name = "deep", .thread_count = 1, .stack_bytes = 96 * 1024};
    plain_check(at_pool_create(&pool, &options) == AT_OK);
    plain_check(at_pool_start(pool, dig, NULL) == AT_OK);
    at_pool_destroy(pool);
}

/* The signal finds the backend anywhere in its work. */
static void crash_in_backend(void) {
    open_log(false);
    start_writers();
    struct timespec moment = {.tv_nsec = (long)(getpid() * 7919 % 3000) * 1000};
    nanosleep(&moment, NULL);
    note_lines();
    pthread_kill(ati_log_registry_first->thread, SIGABRT);
    for (;;)
        pause();
}

/* The backend waits for a pipe that nobody reads. */
static void crash_beside_a_stuck_sink(void) {
    int ends[2];
    plain_check(pipe(ends) == 0 && dup2(ends[1], STDERR_FILENO) == STDERR_FILENO);
    open_log(true);
    start_writers();
    note_lines();
    abort(); /* a sanitizer's handler for faults would write there too */
}

static void *fault_too(void *barrier) {
    pthread_barrier_wait(barrier);
    read_nothing();
    return NULL;
}

static void crash_together(void) {
    static pthread_barrier_t barrier;
    pthread_t thread;
    open_log(false);
    start_writers();
    note_lines();
    pthread_barrier_init(&barrier, NULL, 2);
    plain_check(pthread_create(&thread, NULL, fault_too, &barrier) == 0);
    fault_too(&barrier);
}

/* The registry is in the hands of the thread that crashes. */
static void crash_under_the_lock(void) {
    open_log(false);
    start_writers();
    note_lines();
    ati_lock_acquire(&ati_log_registry_lock);
    read_nothing();
}

static void leave(int signal) {
    (void)signal;
    _exit(EXIT_BY_PREVIOUS);
}

static void previous_ends_the_process(void) {
    plain_check(signal(SIGSEGV, leave) != SIG_ERR);
    open_log(false);
    start_writers();
    note_lines();
    read_nothing();
}

/* The lines in the rings are the parent's, which writes them; the child has its own. */
static void crash_in_a_forked_child(void) {
    open_log(false);
    start_writers();
    pid_t child = fork();
    if (child == 0) {
        at_log_info(logger, "child");
        abort();
    }
    int status;
    plain_check(waitpid(child, &status, 0) == child && WIFSIGNALED(status));
    note_lines();
    plain_check(at_logger_flush(logger, AT_FOREVER) == AT_OK);
    _exit(EXIT_BY_PREVIOUS);
}

/* The descriptor that the logger writes to. */
static int find_descriptor(void) {
    char name[32], found[256];
    for (int i = 3; i < 64; i++) {
        snprintf(name, sizeof name, "/proc/self/fd/%d", i);
        ssize_t length = readlink(name, found, sizeof found - 1);
        if (length == (ssize_t)strlen(path) && memcmp(found, path, (size_t)length) == 0)
            return i;
    }
    return -1;
}

/* Half of a line, as a signal in the middle of a write leaves it. */
static const char half_line[] = "{\"ts\":\"20";

static void crash_behind(int descriptor, const char *text) {
    ssize_t length = (ssize_t)strlen(text);
    plain_check(at_logger_flush(logger, AT_FOREVER) == AT_OK);
    ati_lock_acquire(&ati_log_registry_first->write_lock); /* the backend waits for it */
    plain_check(descriptor >= 0 && write(descriptor, text, (size_t)length) == length);
    abort();
}

static void crash_behind_own_torn_line(void) {
    open_log(false);
    start_writers();
    note_lines();
    crash_behind(find_descriptor(), half_line);
}

static void crash_behind_torn_line_of_others(void) {
    open_log(false);
    start_writers();
    note_lines();
    crash_behind(open(path, O_WRONLY | O_APPEND), half_line);
}

/* What the program says last, on the stderr that the lines go to as well. It is its own. */
static const char last_words[] = "cannot go on, and say so without a newline";

static void crash_behind_words_on_stderr(void) {
    int file = open(path, O_WRONLY);
    plain_check(file >= 0 && dup2(file, STDERR_FILENO) == STDERR_FILENO);
    at_logger_options options = {.name = "crash", .use_stderr = true};
    plain_check(at_logger_create(&logger, &options) == AT_OK);
    plain_check(at_crash_handler_install() == AT_OK);
    note_lines();
    crash_behind(STDERR_FILENO, last_words);
}

/* -- What the test finds -- */

static const struct test_case {
    const char *name;
    void (*run)(void);
    int signal;       /* that ends the process; 0: it leaves */
    const char *said; /* of the last line: its signal */
    bool may_repeat;  /* lines may be there twice, however soon the backend writes them */
    const char *torn; /* of somebody else, and no line of the log */
} cases[] = {
    {"fault", fault, SIGSEGV, "SIGSEGV", false, NULL},
    {"abort", abort_process, SIGABRT, "SIGABRT", false, NULL},
    {"crash_on_a_small_stack", crash_on_a_small_stack, SIGABRT, "SIGABRT", false, NULL},
    {"overflow", overflow, SIGSEGV, "SIGSEGV", false, NULL},
    {"crash_in_backend", crash_in_backend, SIGABRT, "SIGABRT", true, NULL},
    {"crash_beside_a_stuck_sink", crash_beside_a_stuck_sink, SIGABRT, "SIGABRT", true, NULL},
    {"crash_together", crash_together, SIGSEGV, "SIGSEGV", false, NULL},
    {"crash_under_the_lock", crash_under_the_lock, SIGSEGV, "SIGSEGV", true, NULL},
    {"previous_ends_the_process", previous_ends_the_process, 0, NULL, false, NULL},
    {"crash_in_a_forked_child", crash_in_a_forked_child, 0, "SIGABRT", false, NULL},
    {"crash_behind_own_torn_line", crash_behind_own_torn_line, SIGABRT, "SIGABRT", true, NULL},
    {"crash_behind_torn_line_of_others", crash_behind_torn_line_of_others, SIGABRT, "SIGABRT", true,
     half_line},
    {"crash_behind_words_on_stderr", crash_behind_words_on_stderr, SIGABRT, "SIGABRT", true,
     last_words},
};

enum { CASES = sizeof cases / sizeof *cases };

static unsigned char seen[WRITERS][MOST_LINES];

static struct found {
    int crashed;   /* lines that say so */
    int own;       /* lines of the thread that crashed */
    int torn;      /* lines that are none */
    char text[64]; /* the last of them */
    int repeated;
    char signal[16];
    char task[32];
} found;

static void take_line(const char *line) {
    json_t *object = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
    if (!object) {
        found.torn++;
        snprintf(found.text, sizeof found.text, "%.*s", (int)strcspn(line, "\n"), line);
        return;
    }
    const char *event = json_string_value(json_object_get(object, "event"));
    json_int_t number = json_integer_value(json_object_get(object, "number"));
    if (strcmp(event, "number") == 0) {
        unsigned char *count = &seen[json_integer_value(json_object_get(object, "writer"))][number];
        found.repeated += *count > 0;
        *count = 1;
    } else if (strcmp(event, "last") == 0) {
        found.own = (int)number + 1 > found.own ? (int)number + 1 : found.own;
    } else if (strcmp(event, "process.crashed") == 0) {
        found.crashed++;
        const char *task = json_string_value(json_object_get(object, "task"));
        snprintf(found.signal, sizeof found.signal, "%s",
                 json_string_value(json_object_get(object, "signal")));
        snprintf(found.task, sizeof found.task, "%s", task ? task : "");
    }
    json_decref(object);
}

static void read_log(void) {
    static char line[2 * ATI_LINE_MAX];
    memset(seen, 0, sizeof seen);
    memset(&found, 0, sizeof found);
    FILE *file = fopen(path, "r");
    plain_check(file);
    while (fgets(line, sizeof line, file)) {
        found.torn += !strchr(line, '\n');
        take_line(line);
    }
    fclose(file);
}

static int count_missing(void) {
    int missing = shared->crasher_lines - found.own;
    for (int i = 0; i < WRITERS; i++)
        for (int number = 0; number < shared->before_crash[i]; number++)
            missing += !seen[i][number];
    return missing;
}

/* Sanitizers have a handler for faults already, which ends the process with a status. */
static bool has_handler_before(const struct test_case *it) {
    return (ATI_FIBER_ASAN || ATI_FIBER_TSAN) && it->signal == SIGSEGV;
}

static bool ended_as(const struct test_case *it, int status) {
    if (it->signal == 0)
        return WIFEXITED(status) && WEXITSTATUS(status) == EXIT_BY_PREVIOUS;
    if (has_handler_before(it) && WIFEXITED(status))
        return WEXITSTATUS(status) != 0;
    return WIFSIGNALED(status) && WTERMSIG(status) == it->signal;
}

static void run_case(const struct test_case *it) {
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    int quiet = open("/dev/null", O_WRONLY);
    dup2(quiet, STDERR_FILENO);
    it->run();
    _exit(1);
}

static bool check_case(const struct test_case *it) {
    memset(shared, 0, sizeof *shared);
    plain_check(truncate(path, 0) == 0);
    pid_t child = fork();
    plain_check(child >= 0);
    if (child == 0)
        run_case(it);
    int status;
    plain_check(waitpid(child, &status, 0) == child);
    bool was_slow = ati_monotonic_ns() - shared->crash_began >= AT_MILLISECONDS(PATIENCE_MS);
    read_log();
    int missing = count_missing();
    bool says = it->said && !has_handler_before(it);
    bool well = ended_as(it, status) && missing == 0 && found.torn == (it->torn != NULL) &&
                strcmp(found.text, it->torn ? it->torn : "") == 0 &&
                (it->may_repeat || was_slow || has_handler_before(it) || found.repeated == 0) &&
                found.crashed == says && (!says || strcmp(found.signal, it->said) == 0);
    if (says && strcmp(it->name, "overflow") == 0)
        well &= strcmp(found.task, "dig") == 0;
    if (!well)
        fprintf(stderr, "%s: status %#x, %d missing, %d torn, %d repeated, %d lines about it: %s\n",
                it->name, (unsigned)status, missing, found.torn, found.repeated, found.crashed,
                found.signal);
    return well;
}

static const struct test_case *find_case(const char *name) {
    const struct test_case *it = cases;
    while (strcmp(it->name, name) != 0)
        it++;
    return it;
}

int main(void) {
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int file = mkstemp(path);
    plain_check(shared != MAP_FAILED && file >= 0);
    close(file);
    int failed = 0;
    for (int i = 0; i < CASES; i++)
        failed += !check_case(&cases[i]);
    for (int i = 0; i < MORE_MOMENTS; i++)
        failed += !check_case(find_case("crash_in_backend"));
    unlink(path);
    fprintf(stderr, "%d failed\n", failed);
    return failed != 0;
}
