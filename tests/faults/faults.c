/* Counts what a process does to files below a folder, and ends the process, or fails the call, at the n-th of them.
 *
 * Preloaded (LD_PRELOAD), it stands before the C library's own calls, so it also sees what SQLite, safetensors and
 * Python's runtime write. It does nothing until `faults_arm` is called, and a forked process starts unarmed.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

enum { KILL = 0, TEAR = 1, FAIL = 2 };

enum { PARTS = 8 };

static struct {
  char folder[PATH_MAX];
  char part[PARTS][NAME_MAX]; /* of a path, "" for any; the fault strikes at the first, the others are counted */
  long count[PARTS];
  int parts;
  long at;    /* 0: only count */
  long times; /* how many calls in a row fail */
  int mode, error;
  pid_t process; /* 0: unarmed */
} faults;
static pthread_mutex_t counting = PTHREAD_MUTEX_INITIALIZER;

void faults_arm(const char *folder, const char **parts, long at, long times, int mode, int error) {
  snprintf(faults.folder, sizeof faults.folder, "%s", folder);
  for (faults.parts = 0; faults.parts < PARTS && parts[faults.parts]; faults.parts++) {
    snprintf(faults.part[faults.parts], NAME_MAX, "%s", parts[faults.parts]);
    faults.count[faults.parts] = 0;
  }
  faults.at = at, faults.times = times, faults.mode = mode, faults.error = error;
  faults.process = getpid();
}

long faults_count(int part) { return faults.count[part]; }

/* Whether this call is one that fails; kills the process where that is what was asked. */
static int hit(const char *path) {
  if (!faults.process || faults.process != getpid()) return 0;
  size_t length = strlen(faults.folder);
  if (strncmp(path, faults.folder, length) || path[length] != '/') return 0;
  long now = 0;
  pthread_mutex_lock(&counting);
  for (int part = faults.parts - 1; part >= 0; part--) {
    int named = strstr(path + length, faults.part[part]) != 0;
    faults.count[part] += named;
    now = named ? faults.count[part] : 0;
  }
  pthread_mutex_unlock(&counting);
  if (!now || !faults.at || now < faults.at || now >= faults.at + faults.times) return 0;
  if (now == faults.at) dprintf(STDERR_FILENO, "struck %s\n", path);
  if (faults.mode == KILL) kill(getpid(), SIGKILL);
  return 1;
}

static int hit_file(int file) {
  char link[64], path[PATH_MAX];
  if (!faults.process) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length <= 0) return 0;
  path[length] = 0;
  return path[0] == '/' && hit(path);
}

static int hit_name(int folder, const char *name) {
  char path[PATH_MAX];
  if (!faults.process) return 0;
  if (name[0] == '/' || folder == AT_FDCWD) {
    char here[PATH_MAX / 2];
    if (name[0] == '/') return hit(name);
    if (!getcwd(here, sizeof here)) return 0;
    snprintf(path, sizeof path, "%s/%s", here, name);
    return hit(path);
  }
  char link[64], where[PATH_MAX / 2];
  snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
  ssize_t length = readlink(link, where, sizeof where - 1);
  if (length <= 0) return 0;
  where[length] = 0;
  snprintf(path, sizeof path, "%s/%s", where, name);
  return hit(path);
}

static int failed(void) {
  errno = faults.error;
  return -1;
}

#define REAL(name) \
  static __typeof__(&name) real; \
  if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

/* A torn write brings half of its bytes to the file, then the process dies. */
#define WRITES(name, extra, pass) \
  ssize_t name(int file, const void *data, size_t size extra) { \
    REAL(name); \
    if (hit_file(file)) { \
      if (faults.mode == FAIL) return failed(); \
      real(file, data, size / 2 pass); \
      kill(getpid(), SIGKILL); \
    } \
    return real(file, data, size pass); \
  }
#define COMMA ,
WRITES(write, , )
WRITES(pwrite, COMMA off_t at, COMMA at)
WRITES(pwrite64, COMMA off64_t at, COMMA at)

#define ON_FILE(name, extra, pass) \
  int name(int file extra) { \
    REAL(name); \
    if (hit_file(file)) { \
      if (faults.mode == TEAR) kill(getpid(), SIGKILL); \
      return failed(); \
    } \
    return real(file pass); \
  }
ON_FILE(fsync, , )
ON_FILE(fdatasync, , )
ON_FILE(ftruncate, COMMA off_t size, COMMA size)
ON_FILE(ftruncate64, COMMA off64_t size, COMMA size)

#define ON_NAME(name, parameters, folder, path, pass) \
  int name parameters { \
    REAL(name); \
    if (hit_name(folder, path)) { \
      if (faults.mode == TEAR) kill(getpid(), SIGKILL); \
      return failed(); \
    } \
    return real pass; \
  }
ON_NAME(rename, (const char *from, const char *to), AT_FDCWD, to, (from, to))
ON_NAME(renameat, (int a, const char *from, int b, const char *to), b, to, (a, from, b, to))
ON_NAME(unlink, (const char *path), AT_FDCWD, path, (path))
ON_NAME(unlinkat, (int folder, const char *path, int flags), folder, path, (folder, path, flags))
ON_NAME(rmdir, (const char *path), AT_FDCWD, path, (path))
ON_NAME(mkdir, (const char *path, mode_t mode), AT_FDCWD, path, (path, mode))
