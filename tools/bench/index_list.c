/* SPDX-License-Identifier: MIT */
#include "index_worker.h"
#include "messages.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct index_directory *index_root(struct index_worker *worker) {
    struct index_directory *root = index_allocate(worker, sizeof(*root) + sizeof("."));
    if (!root)
        return NULL;
    memset(root, 0, sizeof(*root));
    strcpy(root->path, ".");
    root->run = worker->run;
    worker->totals.directories++;
    return root;
}

static bool add_file(struct index_worker *worker, struct index_directory *directory,
                     const char *name, struct index_listing *listing) {
    size_t length = strlen(name) + 1;
    struct index_file *file = index_allocate(worker, sizeof(*file) + length);
    if (!file)
        return false;
    file->directory = directory;
    file->next = listing->files;
    memcpy(file->name, name, length);
    listing->files = file;
    listing->file_count++;
    return true;
}

static bool add_directory(struct index_worker *worker, struct index_directory *parent,
                          const char *name, struct index_listing *listing) {
    size_t name_length = strlen(name) + 1;
    size_t parent_length = parent->parent ? strlen(parent->path) + 1 : 0;
    struct index_directory *child =
        index_allocate(worker, sizeof(*child) + parent_length + name_length);
    if (!child)
        return false;
    child->run = worker->run;
    child->parent = parent;
    child->next = listing->directories;
    if (parent_length > 0) {
        memcpy(child->path, parent->path, parent_length - 1);
        child->path[parent_length - 1] = '/';
    }
    memcpy(child->path + parent_length, name, name_length);
    listing->directories = child;
    listing->directory_count++;
    worker->totals.directories++;
    return true;
}

static bool is_inside(const struct index_directory *directory, const struct stat *status) {
    for (; directory; directory = directory->parent)
        if (directory->inode == status->st_ino && directory->device == status->st_dev)
            return true;
    return false;
}

/* Links are not followed; those that lead nowhere or in a circle are noted. */
static void look_at_link(struct index_worker *worker, int descriptor,
                         struct index_directory *directory, const char *name) {
    struct stat status;
    worker->totals.links++;
    if (fstatat(descriptor, name, &status, 0) == 0) {
        if (S_ISDIR(status.st_mode) && is_inside(directory, &status))
            index_note(worker, INDEX_LINK_LOOP, directory, name, "leads to a directory around it");
    } else if (errno == ELOOP) {
        index_note(worker, INDEX_LINK_LOOP, directory, name, describe_errno(errno));
    } else if (errno == ENOENT || errno == ENOTDIR) {
        index_note(worker, INDEX_DANGLING, directory, name, "leads to nothing");
    } else {
        index_note(worker, INDEX_UNREADABLE, directory, name, describe_errno(errno));
    }
}

/* For file systems that do not tell the type in the listing; DT_UNKNOWN: it vanished. */
static unsigned char find_type(int descriptor, const char *name) {
    struct stat status;
    if (fstatat(descriptor, name, &status, AT_SYMLINK_NOFOLLOW) != 0)
        return DT_UNKNOWN;
    return IFTODT(status.st_mode);
}

static bool add_entry(struct index_worker *worker, int descriptor,
                      struct index_directory *directory, const struct dirent64 *entry,
                      struct index_listing *listing) {
    const char *name = entry->d_name;
    if (name[0] == '.' && (name[1] == '\0' || (name[1] == '.' && name[2] == '\0')))
        return true;
    unsigned char type = entry->d_type;
    if (type == DT_UNKNOWN)
        type = find_type(descriptor, name);
    switch (type) {
    case DT_REG:
        return add_file(worker, directory, name, listing);
    case DT_DIR:
        return add_directory(worker, directory, name, listing);
    case DT_LNK:
        look_at_link(worker, descriptor, directory, name);
        return true;
    case DT_UNKNOWN:
        index_note(worker, INDEX_VANISHED, directory, name, NULL);
        return true;
    default:
        index_note(worker, INDEX_SPECIAL, directory, name,
                   type == DT_SOCK   ? "socket"
                   : type == DT_FIFO ? "fifo"
                                     : "device");
        return true;
    }
}

static bool read_entries(struct index_worker *worker, int descriptor,
                         struct index_directory *directory, struct index_listing *listing) {
    for (;;) {
        ssize_t got = getdents64(descriptor, worker->entries, INDEX_ENTRIES_BYTES);
        if (got <= 0)
            return got == 0;
        for (ssize_t at = 0; at < got;) {
            const struct dirent64 *entry = (const struct dirent64 *)(worker->entries + at);
            if (!add_entry(worker, descriptor, directory, entry, listing)) {
                errno = ENOMEM;
                return false;
            }
            at += entry->d_reclen;
        }
    }
}

int index_open_directory(const struct index_run *run, const struct index_directory *directory) {
    return openat(run->root_descriptor, directory->path,
                  O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

int index_list(struct index_worker *worker, struct index_directory *directory,
               struct index_listing *listing) {
    struct stat status;
    memset(listing, 0, sizeof(*listing));
    int descriptor = index_open_directory(worker->run, directory);
    if (descriptor < 0)
        return -1;
    if (fstat(descriptor, &status) != 0)
        goto failed;
    if (is_inside(directory->parent, &status)) {
        errno = ELOOP;
        goto failed;
    }
    directory->device = status.st_dev;
    directory->inode = status.st_ino;
    if (!read_entries(worker, descriptor, directory, listing))
        goto failed;
    uint64_t found = atomic_load_explicit(&worker->files_found, memory_order_relaxed);
    atomic_store_explicit(&worker->files_found, found + listing->file_count, memory_order_relaxed);
    return descriptor;
failed:;
    int error = errno;
    close(descriptor);
    errno = error;
    return -1;
}
