/* SPDX-License-Identifier: MIT */
#include "benchmarks.h"

#include "clock.h"
#include "messages.h"
#include "statistics.h"
#include "tasks.h"

#include <asynctools/log.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    LINES = 500000,       /* flat out, of all threads together */
    PACED_LINES = 200000, /* in a second, of all threads together */
    QUICK_SHARE = 50,
    MAX_THREADS = 64,
    MAX_ATTEMPTS = 50,
};

/* A way to write lines of five typed fields to a file. */
struct log_program {
    bool (*open)(const char *path);
    void (*write)(long number);
    /* Gives how many lines are in the file. */
    uint64_t (*close)(void);
};

/* What is being measured. One measurement at a time. */
static at_logger *logger;
static FILE *file;
static pthread_mutex_t file_lock = PTHREAD_MUTEX_INITIALIZER; /* guards the three below, and file */
static uint64_t file_lines;
static time_t stamp_second;
static char stamp[32]; /* of stamp_second */

static bool open_logger(const char *path) {
    at_logger_options options = {.name = "bench", .path = path};
    return at_logger_create(&logger, &options) == AT_OK;
}

/* Warnings wait for room in the ring; lines of info would be dropped when it is full. */
static void write_line(long number) {
    at_log_warn(logger, "request.completed", at_kv("request", number),
                at_kv("path", "/api/v1/customers/orders"), at_kv("bytes", 18231 + number % 1000),
                at_kv("duration_ms", 0.25 * (double)(number % 64)),
                at_kv_bool("cached", number & 1));
}

static uint64_t close_logger(void) {
    at_logger_statistics statistics;
    at_status status = at_logger_flush(logger, at_after(AT_SECONDS(60)));
    at_logger_get_statistics(logger, &statistics);
    at_logger_destroy(logger);
    return status == AT_OK ? statistics.written - statistics.lost : 0;
}

static bool open_file(const char *path) {
    file_lines = 0;
    file = fopen(path, "we");
    return file != NULL;
}

/* What people write themselves; the date is kept for a second, as careful ones do. Texts are not
 * escaped. */
static void print_line(long number) {
    struct timespec now;
    struct tm parts;
    clock_gettime(CLOCK_REALTIME, &now);
    pthread_mutex_lock(&file_lock);
    if (now.tv_sec != stamp_second) {
        stamp_second = now.tv_sec;
        strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", gmtime_r(&now.tv_sec, &parts));
    }
    fprintf(file,
            "{\"ts\":\"%s.%06ldZ\",\"level\":\"warn\",\"event\":\"request.completed\","
            "\"logger\":\"bench\",\"request\":%ld,\"path\":\"%s\",\"bytes\":%ld,"
            "\"duration_ms\":%g,\"cached\":%s,\"thread\":%d,\"source\":\"%s:%d\"}\n",
            stamp, now.tv_nsec / 1000, number, "/api/v1/customers/orders", 18231 + number % 1000,
            0.25 * (double)(number % 64), number & 1 ? "true" : "false", 12345, __FILE__, __LINE__);
    file_lines++;
    pthread_mutex_unlock(&file_lock);
}

static uint64_t close_file(void) {
    return fclose(file) == 0 ? file_lines : 0;
}

static const struct log_program library = {open_logger, write_line, close_logger};
static const struct log_program by_hand = {open_file, print_line, close_file};

struct log_case {
    const struct log_program *program;
    const char *folder;
};

static const struct log_case cases[2][2] = {
    {{&library, "/dev/shm"}, {&by_hand, "/dev/shm"}},
    {{&library, "/var/tmp"}, {&by_hand, "/var/tmp"}},
};

static size_t list_cases(const struct log_case two[2], struct subject *subjects) {
    subjects[0] =
        (struct subject){.name = "asynctools log", .role = SUBJECT_LIBRARY, .data = &two[0]};
    subjects[1] =
        (struct subject){.name = "mutex and fprintf", .role = SUBJECT_PEER, .data = &two[1]};
    return 2;
}

static size_t list_log(const struct benchmark_settings *settings, struct subject *subjects) {
    (void)settings;
    return list_cases(cases[0], subjects);
}

static size_t list_log_disk(const struct benchmark_settings *settings, struct subject *subjects) {
    (void)settings;
    return list_cases(cases[1], subjects);
}

/* One thread that logs; all start together. */
struct log_thread {
    pthread_t thread;
    pthread_barrier_t *gate;
    const struct log_program *program;
    uint64_t period_ns; /* between two lines; 0: flat out */
    long count;
    double *times; /* of each call, where it is paced */
};

static void log_paced(struct log_thread *self) {
    uint64_t next = now_ns();
    for (long i = 0; i < self->count; i++) {
        uint64_t start;
        next += self->period_ns;
        while ((start = now_ns()) < next)
            ;
        self->program->write(i);
        self->times[i] = (double)(now_ns() - start);
    }
}

static void *run_log_thread(void *argument) {
    struct log_thread *self = argument;
    self->program->write(0);
    pthread_barrier_wait(self->gate);
    if (self->period_ns > 0)
        log_paced(self);
    else
        for (long i = 0; i < self->count; i++)
            self->program->write(i);
    return NULL;
}

/* Runs `threads` threads that write `lines` lines in all. Gives the time from the first line to the
 * end of the file, and the lines that are in it. */
static uint64_t run_threads(const struct log_program *program, int threads, long lines,
                            double *times, uint64_t *written) {
    struct log_thread all[MAX_THREADS];
    pthread_barrier_t gate;
    long count = lines / threads;
    pthread_barrier_init(&gate, NULL, (unsigned)threads + 1);
    for (int i = 0; i < threads; i++) {
        all[i] = (struct log_thread){.gate = &gate, .program = program, .count = count};
        if (times) {
            all[i].times = times + i * count;
            all[i].period_ns = (uint64_t)threads * 1000000000u / PACED_LINES;
        }
        if (pthread_create(&all[i].thread, NULL, run_log_thread, &all[i]) != 0) {
            give_up("cannot start a thread");
        }
    }
    pthread_barrier_wait(&gate);
    uint64_t start = now_ns();
    for (int i = 0; i < threads; i++)
        pthread_join(all[i].thread, NULL);
    *written = program->close();
    pthread_barrier_destroy(&gate);
    return now_ns() - start;
}

/* Gives the lines that were written, or 0 when nothing can be measured. */
static uint64_t take_case(const struct log_case *log, int threads, long lines, double *times,
                          struct benchmark_sample *sample) {
    char path[64];
    uint64_t written;
    snprintf(path, sizeof(path), "%s/at-bench-%d.log", log->folder, (int)getpid());
    if (threads > MAX_THREADS || !log->program->open(path))
        return 0;
    uint64_t cpu = tasks_cpu_ns();
    uint64_t time = run_threads(log->program, threads, lines, times, &written);
    unlink(path);
    sample->values[0] = (double)time / (double)written;
    sample->cpu_ns = (double)(tasks_cpu_ns() - cpu) / (double)written;
    sample->iterations = written;
    return written;
}

/* Lines are dropped where other programs leave too little of the machine to write them in time.
 * Such a measurement does not count, and is taken again. */
static bool measure_case(const struct subject *subject, int threads, long lines, double *times,
                         struct benchmark_sample *sample) {
    uint64_t expected = (uint64_t)(lines / threads + 1) * (uint64_t)threads;
    uint64_t written = 1;
    for (int i = 0; i < MAX_ATTEMPTS && written > 0; i++) {
        written = take_case(subject->data, threads, lines, times, sample);
        if (written == expected)
            return true;
    }
    if (written == 0)
        fprintf(stderr, "at-bench: cannot measure %s\n", subject->name);
    else
        fprintf(stderr, "at-bench: %s: %llu of %llu lines were written\n", subject->name,
                (unsigned long long)written, (unsigned long long)expected);
    return false;
}

static bool measure_log(const struct subject *subject, const struct benchmark_settings *settings,
                        struct benchmark_sample *sample) {
    return measure_case(subject, (int)settings->parameter,
                        settings->quick ? LINES / QUICK_SHARE : LINES, NULL, sample);
}

/* What reading the clock twice costs, which is in each time. */
static double find_clock_cost(void) {
    double costs[1000];
    for (int i = 0; i < 1000; i++) {
        uint64_t start = now_ns();
        costs[i] = (double)(now_ns() - start);
    }
    return median_of(costs, 1000);
}

static bool measure_log_call(const struct subject *subject,
                             const struct benchmark_settings *settings,
                             struct benchmark_sample *sample) {
    long lines = settings->quick ? PACED_LINES / QUICK_SHARE : PACED_LINES;
    long counted = lines / settings->parameter * settings->parameter;
    double *times = malloc((size_t)lines * sizeof(*times));
    if (!times)
        return false;
    bool well = measure_case(subject, (int)settings->parameter, lines, times, sample);
    double cost = find_clock_cost();
    sample->values[0] = quantile_of(times, (size_t)counted, 0.5) - cost;
    sample->values[1] = quantile_of(times, (size_t)counted, 0.99) - cost;
    free(times);
    return well;
}

const struct benchmark benchmark_log = {
    .name = "log",
    .help = "lines of five fields to a file in memory, flat out, until it is flushed, a line",
    .parameter = "threads",
    .parameters = {.values = {1, 2, 4}, .count = 3},
    .metrics = {{"time", "ns"}},
    .shows_rate = true,
    .list_subjects = list_log,
    .measure = measure_log,
};

const struct benchmark benchmark_log_disk = {
    .name = "log_disk",
    .help = "the same to a file on a disk",
    .parameter = "threads",
    .parameters = {.values = {1, 2, 4}, .count = 3},
    .metrics = {{"time", "ns"}},
    .shows_rate = true,
    .list_subjects = list_log_disk,
    .measure = measure_log,
};

const struct benchmark benchmark_log_call = {
    .name = "log_call",
    .help = "a call that logs five fields, 200,000 lines a second in all",
    .parameter = "threads",
    .parameters = {.values = {1, 2}, .count = 2},
    .metrics = {{"p50", "ns"}, {"p99", "ns"}},
    .list_subjects = list_log,
    .measure = measure_log_call,
};
