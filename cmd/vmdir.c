/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vmdir.c - see vmdir.h.
 *
 * The lock is one of an open file description (F_OFD_SETLK): it passes to children, asking for it does not take it, and closing another
 * descriptor of the file does not drop it.
 */
#include <sys/stat.h>

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bhyve.h"
#include "config/config.h"
#include "error.h"
#include "hash.h"
#include "log_file.h"
#include "vmdir.h"

#define	LOCK	"lock"
#define	SUN_MAX	sizeof(((struct sockaddr_un *)0)->sun_path)

int
vmdir_check_name(const char *name)
{
	if (strlen(name) > VMDIR_NAME_MAX)
		return (vmm_fail(ENAMETOOLONG, "the name of a VM has at most %d bytes, not %zu", VMDIR_NAME_MAX, strlen(name)));
	for (const char *p = name; *p != '\0'; p++) {
		if (!isalnum((unsigned char)*p) && (p == name || strchr("._-+", *p) == NULL))
			return (vmm_fail(EINVAL, "'%s' cannot be the name of a VM: it has letters, digits, '.', '_', '-' and '+', "
			    "the first of them a letter or a digit", name));
	}
	return (*name != '\0' ? 0 : vmm_fail(EINVAL, "the name of a VM cannot be empty"));
}

char *
vmdir_root(void)
{
	const char *dir = getenv("HYVE_DIR"), *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
	char *path = NULL, *here;
	int len;

	if (dir != NULL && dir[0] == '/')
		len = asprintf(&path, "%s", dir);
	else if (dir != NULL && dir[0] != '\0') {
		here = getcwd(NULL, 0);
		if (here == NULL)
			return (vmm_fail_sys(errno, "the current folder") == 0 ? here : NULL);
		len = asprintf(&path, "%s/%s", here, dir);
		free(here);
	} else if (geteuid() == 0)
		len = asprintf(&path, "/var/lib/hyve");
	else if (data != NULL && data[0] == '/')
		len = asprintf(&path, "%s/hyve/vms", data);
	else if (home != NULL && home[0] == '/')
		len = asprintf(&path, "%s/.local/share/hyve/vms", home);
	else
		return (vmm_fail_null(ENOENT, "there is no place for VMs: set HOME, XDG_DATA_HOME or HYVE_DIR"));
	return (len >= 0 ? path : vmm_fail_null(ENOMEM, "no memory"));
}

/* Make a folder and those above it, as private as what goes into them. */
static int
make_folders(char *path)
{
	for (char *p = strchr(path + 1, '/'); p != NULL; p = strchr(p + 1, '/')) {
		*p = '\0';
		if (mkdir(path, 0700) != 0 && errno != EEXIST) {
			(void)vmm_fail_sys(errno, "cannot make '%s'", path);
			*p = '/';
			return (-1);
		}
		*p = '/';
	}
	return (mkdir(path, 0700) == 0 || errno == EEXIST ? 0 : vmm_fail_sys(errno, "cannot make '%s'", path));
}

/* All names, sorted; *n of them.  NULL with a sentence; none is no error. */
static char **
names(size_t *n)
{
	char *root = vmdir_root(), **list = NULL;
	struct dirent **entries;
	struct stat st;
	char *path;
	int have, i;

	*n = 0;
	if (root == NULL)
		return (NULL);
	have = scandir(root, &entries, NULL, alphasort);
	if (have < 0 && errno != ENOENT) {
		(void)vmm_fail_sys(errno, "cannot list '%s'", root);
		free(root);
		return (NULL);
	}
	list = calloc((size_t)(have > 0 ? have : 0) + 1, sizeof(*list));
	for (i = 0; i < have; i++) {
		path = NULL;
		if (list != NULL && vmdir_check_name(entries[i]->d_name) == 0 &&
		    asprintf(&path, "%s/%s/" VMDIR_CONF, root, entries[i]->d_name) >= 0 && stat(path, &st) == 0)
			list[(*n)++] = strdup(entries[i]->d_name);
		free(path);
		free(entries[i]);
	}
	if (have >= 0)
		free(entries);
	free(root);
	return (list != NULL ? list : vmm_fail_null(ENOMEM, "no memory"));
}

static void
free_names(char **list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(list[i]);
	free(list);
}

static const char *
name_at(const void *arg, size_t i)
{
	char *const *list = arg;

	return (list[i] != NULL ? list[i] : "");
}

static struct vmdir *
no_such_vm(const char *name)
{
	size_t n;
	char **list = names(&n);
	const char *near;

	if (list == NULL)
		return (NULL);
	near = config_nearest(name, n, name_at, list);
	if (bhyve_runs(name))
		(void)vmm_fail(ENOENT, "VM '%s' is one that bhyve(8) runs: 'bhyvectl --vm=%s' and 'hyve qmp %s' are for it", name, name, name);
	else if (near != NULL)
		(void)vmm_fail(ENOENT, "there is no VM '%s'; did you mean '%s'?", name, near);
	else if (n == 0)
		(void)vmm_fail(ENOENT, "there is no VM '%s', nor any other; 'hyve create' makes one", name);
	else
		(void)vmm_fail(ENOENT, "there is no VM '%s'; 'hyve ls' lists them", name);
	free_names(list, n);
	return (NULL);
}

/* Without keys: what a create or a delete that was cut short has left. */
static bool
is_left_over(const char *path)
{
	char conf[PATH_MAX];

	(void)snprintf(conf, sizeof(conf), "%s/" VMDIR_CONF, path);
	if (access(conf, F_OK) != 0 && errno == ENOENT)
		return (true);
	errno = EEXIST;
	return (false);
}

static struct vmdir *
open_dir(const char *name, bool make)
{
	struct vmdir *dir = NULL;
	char *root, *path = NULL;

	if (vmdir_check_name(name) != 0 || (root = vmdir_root()) == NULL)
		return (NULL);
	if (asprintf(&path, "%s/%s", root, name) < 0)
		(void)vmm_fail(ENOMEM, "no memory");
	else if (strlen(path) >= PATH_MAX - 2 * VMDIR_NAME_MAX)
		(void)vmm_fail(ENAMETOOLONG, "'%s' is too long for a folder of VMs", root);
	else if (make && make_folders(root) != 0)
		;
	else if (make && mkdir(path, 0700) != 0 && (errno != EEXIST || !is_left_over(path)))
		(void)(errno == EEXIST ? vmm_fail(EEXIST, "there is a VM '%s' already, in '%s'", name, path) :
		    vmm_fail_sys(errno, "cannot make '%s'", path));
	else if ((dir = calloc(1, sizeof(*dir))) == NULL || (dir->name = strdup(name)) == NULL)
		(void)vmm_fail(ENOMEM, "no memory");
	else {
		dir->lock = -1;
		dir->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		dir->path = path;
		free(root);
		if (dir->fd < 0) {
			if (errno != ENOENT)
				(void)vmm_fail_sys(errno, "VM '%s': '%s'", name, path);
			else
				(void)no_such_vm(name);
			vmdir_close(dir);
			return (NULL);
		}
		return (dir);
	}
	free(dir);
	free(path);
	free(root);
	return (NULL);
}

struct vmdir *
vmdir_open(const char *name)
{
	struct vmdir *dir = open_dir(name, false);

	/* One that is just being made, or whose making failed halfway, is none yet. */
	if (dir != NULL && faccessat(dir->fd, VMDIR_CONF, F_OK, 0) != 0 && errno == ENOENT) {
		vmdir_close(dir);
		return (no_such_vm(name));
	}
	return (dir);
}

struct vmdir *
vmdir_create(const char *name)
{
	return (open_dir(name, true));
}

void
vmdir_close(struct vmdir *dir)
{
	if (dir == NULL)
		return;
	if (dir->lock >= 0)
		close(dir->lock);
	if (dir->fd >= 0)
		close(dir->fd);
	free(dir->name);
	free(dir->path);
	free(dir);
}

/* What hyve makes there; all else is somebody's, a disk perhaps. */
static bool
is_ours(const char *name)
{
	static const char *const files[] = { ".", "..", LOCK, VMDIR_CONF, VMDIR_CONF ".new", VMDIR_VARS, VMDIR_LOG, VMDIR_LOG LOG_FILE_OLD,
	    VMDIR_LOG LOG_FILE_NEW, VMDIR_CONTROL, VMDIR_CONSOLE };

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		if (strcmp(name, files[i]) == 0)
			return (true);
	}
	/* A journal of the variables, or what is becoming them. */
	return (strncmp(name, VMDIR_VARS ".", sizeof(VMDIR_VARS)) == 0);
}

int
vmdir_remove(struct vmdir *dir)
{
	static const char *const sockets[] = { VMDIR_CONTROL, VMDIR_CONSOLE };
	char path[SUN_MAX];
	struct dirent *entry;
	DIR *list;
	int fd;

	fd = openat(dir->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	list = fd >= 0 ? fdopendir(fd) : NULL;
	if (list == NULL)
		return (vmm_fail_sys(errno, "'%s'", dir->path));
	while ((entry = readdir(list)) != NULL) {
		if (is_ours(entry->d_name))
			continue;
		(void)vmm_fail(ENOTEMPTY, "'%s/%s' is none of hyve's files: move it away first", dir->path, entry->d_name);
		closedir(list);
		return (-1);
	}
	for (size_t i = 0; i < sizeof(sockets) / sizeof(sockets[0]); i++) {
		if (vmdir_socket(dir, sockets[i], path) == 0)
			(void)unlink(path);
	}
	/* Without its keys it is no VM any more, whatever becomes of the rest. */
	if (unlinkat(dir->fd, VMDIR_CONF, 0) != 0 && errno != ENOENT) {
		closedir(list);
		return (vmm_fail_sys(errno, "cannot remove '%s/" VMDIR_CONF "'", dir->path));
	}
	rewinddir(list);
	/* The lock last: until then nobody else can start it. */
	while ((entry = readdir(list)) != NULL) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 || strcmp(entry->d_name, LOCK) == 0 ||
		    unlinkat(dir->fd, entry->d_name, 0) == 0)
			continue;
		(void)vmm_fail_sys(errno, "cannot remove '%s/%s'", dir->path, entry->d_name);
		closedir(list);
		return (-1);
	}
	closedir(list);
	(void)unlinkat(dir->fd, LOCK, 0);
	return (rmdir(dir->path) == 0 ? 0 : vmm_fail_sys(errno, "cannot remove '%s'", dir->path));
}

/* Whoever has it: "pid 4711, since 2026-11-30 08:43:12". */
static const char *
holder_text(const struct vmdir_state *state, char buf[80])
{
	time_t t = (time_t)state->since;
	struct tm tm;
	char when[32] = "";

	if (state->pid == 0)
		return ("it is being started");
	if (localtime_r(&t, &tm) != NULL)
		(void)strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", &tm);
	(void)snprintf(buf, 80, "pid %d, since %s", (int)state->pid, when);
	return (buf);
}

int
vmdir_lock(struct vmdir *dir)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	struct vmdir_state state;
	char buf[80];
	int fd;

	fd = openat(dir->fd, LOCK, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return (vmm_fail_sys(errno, "VM '%s': '%s/" LOCK "'", dir->name, dir->path));
	if (fcntl(fd, F_OFD_SETLK, &lock) != 0) {
		int error = errno;

		close(fd);
		if (error != EAGAIN && error != EACCES)
			return (vmm_fail_sys(error, "VM '%s': '%s/" LOCK "'", dir->name, dir->path));
		if (vmdir_state(dir, &state) != 0)
			return (-1);
		return (vmm_fail(EBUSY, "VM '%s' runs already: %s", dir->name, holder_text(&state, buf)));
	}
	/* What the last one said of itself is over. */
	if (ftruncate(fd, 0) != 0) {
		close(fd);
		return (vmm_fail_sys(errno, "VM '%s': '%s/" LOCK "'", dir->name, dir->path));
	}
	dir->lock = fd;
	return (0);
}

int
vmdir_lock_mine(struct vmdir *dir)
{
	char text[64];
	int len = snprintf(text, sizeof(text), "pid %d\nsince %" PRId64 "\n", (int)getpid(), (int64_t)time(NULL));

	if (ftruncate(dir->lock, 0) != 0 || pwrite(dir->lock, text, (size_t)len, 0) != len)
		return (vmm_fail_sys(errno, "VM '%s': '%s/" LOCK "'", dir->name, dir->path));
	return (0);
}

int
vmdir_state(const struct vmdir *dir, struct vmdir_state *state)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	char text[64];
	ssize_t len;
	int fd, pid;

	*state = (struct vmdir_state){ .running = dir->lock >= 0 };
	fd = openat(dir->fd, LOCK, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 && errno == ENOENT)
		return (0);
	if (fd < 0)
		return (vmm_fail_sys(errno, "VM '%s': '%s/" LOCK "'", dir->name, dir->path));
	if (dir->lock < 0 && fcntl(fd, F_OFD_GETLK, &lock) != 0) {
		close(fd);
		return (vmm_fail_sys(errno, "VM '%s': '%s/" LOCK "'", dir->name, dir->path));
	}
	state->running |= lock.l_type != F_UNLCK;
	len = pread(fd, text, sizeof(text) - 1, 0);
	close(fd);
	if (!state->running || len <= 0)
		return (0);
	text[len] = '\0';
	if (sscanf(text, "pid %d since %" SCNd64, &pid, &state->since) == 2 && pid > 0)
		state->pid = pid;
	return (0);
}

const char *
vmdir_file(const struct vmdir *dir, const char *file, char *buf)
{
	(void)snprintf(buf, PATH_MAX, "%s/%s", dir->path, file);
	return (buf);
}

int
vmdir_socket(const struct vmdir *dir, const char *name, char path[SUN_MAX])
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");
	char folder[SUN_MAX];

	if ((size_t)snprintf(path, SUN_MAX, "%s/%s", dir->path, name) < SUN_MAX)
		return (0);
	if (runtime == NULL || runtime[0] != '/' || (size_t)snprintf(folder, sizeof(folder), "%s/hyve-sockets", runtime) >= sizeof(folder) ||
	    /* Two folders of VMs may have one of that name each. */
	    (size_t)snprintf(path, SUN_MAX, "%.80s/%.16s-%016" PRIx64 ".%s", folder, dir->name,
	    hash_bytes(HASH_START, dir->path, strlen(dir->path)), name) >= SUN_MAX ||
	    strlen(folder) > 80)
		return (vmm_fail(ENAMETOOLONG, "VM '%s': '%s/%s' is too long for a socket, which has at most %zu bytes; a shorter HYVE_DIR helps, "
		    "or XDG_RUNTIME_DIR", dir->name, dir->path, name, SUN_MAX - 1));
	if (mkdir(folder, 0700) != 0 && errno != EEXIST)
		return (vmm_fail_sys(errno, "cannot make '%s'", folder));
	return (0);
}

int
vmdir_each(int (*fn)(void *arg, const char *name), void *arg)
{
	size_t n;
	char **list = names(&n);
	int r = 0;

	if (list == NULL)
		return (-1);
	for (size_t i = 0; i < n && r == 0; i++) {
		if (list[i] != NULL)
			r = fn(arg, list[i]);
	}
	free_names(list, n);
	return (r);
}
