/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rundir.c - named VMs: where they live, how they are made, found, locked and removed.
 *
 * A VM appears under its name by one rename of a finished directory, so that nobody ever opens half of one.  What a
 * crash leaves behind is hidden (a leading dot) and unlocked, and the next vm_create() sweeps it.
 */
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "rundir.h"

#define	SWEEP_AGE	60	/* seconds after which an unlocked, unfinished directory is a leftover */

static int
name_check(const char *name)
{
	if (name == NULL || name[0] == '\0')
		return (vm_fail(EINVAL, "a VM's name must not be empty"));
	if (strlen(name) > VM_MAX_NAMELEN)
		return (vm_fail(ENAMETOOLONG, "vm '%.40s...': the name has more than %d bytes", name, VM_MAX_NAMELEN));
	if (name[0] == '.')
		return (vm_fail(EINVAL, "vm '%s': the name must not begin with a dot", name));
	for (const char *p = name; *p != '\0'; p++) {
		if (*p == '/' || (unsigned char)*p < 0x20 || *p == 0x7f)
			return (vm_fail(EINVAL, "vm name: a slash or control character at byte %d is not allowed",
			    (int)(p - name)));
	}
	return (0);
}

/* The run directory of this user, made if need be: its path in buf and an open descriptor, or -1. */
static int
parent_open(char *buf, size_t size)
{
	const char *env = secure_getenv("HYVE_RUNDIR"), *xdg = secure_getenv("XDG_RUNTIME_DIR");
	struct stat st;
	int fd, n;

	if (env != NULL && env[0] != '\0')
		n = snprintf(buf, size, "%s", env);
	else if (geteuid() == 0)
		n = snprintf(buf, size, "/run/hyve");
	else if (xdg != NULL && xdg[0] == '/')
		n = snprintf(buf, size, "%s/hyve", xdg);
	else
		n = snprintf(buf, size, "/tmp/hyve-%u", (unsigned)geteuid());
	if (n < 0 || (size_t)n >= size)
		return (vm_fail(ENAMETOOLONG, "run directory: its path is too long"));
	if (mkdir(buf, 0700) != 0 && errno != EEXIST)
		return (vm_fail_sys(errno, "run directory '%s': cannot be made (HYVE_RUNDIR names another)", buf));
	fd = open(buf, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return (vm_fail_sys(errno, "run directory '%s': cannot be opened", buf));
	if (fstat(fd, &st) != 0 || st.st_uid != geteuid() || (st.st_mode & 077) != 0) {
		close(fd);
		return (vm_fail(EACCES, "run directory '%s': must belong to user %u with mode 0700", buf,
		    (unsigned)geteuid()));
	}
	return (fd);
}

static void
dir_remove(int parent, const char *dir)
{
	int fd = openat(parent, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	if (fd >= 0) {
		(void)unlinkat(fd, "mem", 0);
		(void)unlinkat(fd, "state", 0);
		close(fd);
	}
	(void)unlinkat(parent, dir, AT_REMOVEDIR);
}

/* Open a file of a VM's directory, which must be a plain one. */
static int
file_open(int parent, const char *dir, const char *file)
{
	char path[VM_MAX_NAMELEN + 32];
	struct stat st;
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, file);
	fd = openat(parent, path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (fd >= 0 && (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))) {
		close(fd);
		errno = EILSEQ;
		return (-1);
	}
	return (fd);
}

/*
 * Whether the directory is nobody's: unfinished, or marked dead or to be destroyed on close, and not locked.  It is removed then.
 */
static bool
leftover_remove(int parent, const char *dir, bool hidden)
{
	struct rd_header hdr;
	struct stat st;
	bool gone = false;
	ssize_t n;
	int fd = file_open(parent, dir, "state");

	if (fd < 0) {
		/* A hidden one may be in the making by another process just now. */
		if (errno != ENOENT || fstatat(parent, dir, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISDIR(st.st_mode) ||
		    (hidden && time(NULL) - st.st_mtime < SWEEP_AGE))
			return (false);
		dir_remove(parent, dir);
		return (true);
	}
	if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
		n = pread(fd, &hdr, sizeof(hdr), 0);
		if (hidden)
			gone = fstat(fd, &st) == 0 && time(NULL) - st.st_mtime >= SWEEP_AGE;
		else
			gone = n == 0 || (n == (ssize_t)sizeof(hdr) && memcmp(hdr.magic, RD_MAGIC, sizeof(hdr.magic)) == 0 &&
			    (hdr.state == RD_DEAD || (hdr.flags & VM_SPEC_DESTROY) != 0));
		if (gone)
			dir_remove(parent, dir);
	}
	close(fd);
	return (gone);
}

static void
sweep(int parent)
{
	int fd = openat(parent, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *e;

	if (d == NULL) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while ((e = readdir(d)) != NULL) {
		if (e->d_name[0] == '.' && strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			(void)leftover_remove(parent, e->d_name, true);
	}
	closedir(d);
}

static void
header_fill(struct rd_header *hdr, const struct md_ops *md, uint32_t flags)
{
	memset(hdr, 0, sizeof(*hdr));
	memcpy(hdr->magic, RD_MAGIC, sizeof(hdr->magic));
	hdr->version = RD_VERSION;
	hdr->slot = VCPU_SLOT;
	hdr->maxcpu = VM_MAXCPU;
	hdr->arch = (uint32_t)md->arch;
	hdr->state = RD_LIVE;
	hdr->flags = flags & VM_SPEC_DESTROY;
	hdr->sockets = hdr->cores = hdr->threads = 1;
	hdr->counter_hz = md->counter_hz;
	hdr->layout = *md->layout;
}

/* Make the files of a VM in the empty directory dir. */
static int
files_make(int parent, const char *dir, const struct md_ops *md, uint32_t flags)
{
	char path[VM_MAX_NAMELEN + 64];
	struct rd_header *hdr;
	int fd, error;

	(void)snprintf(path, sizeof(path), "%s/mem", dir);
	fd = openat(parent, path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return (-1);
	close(fd);
	(void)snprintf(path, sizeof(path), "%s/state", dir);
	fd = openat(parent, path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return (-1);
	/* Reserve all of it now: a full file system must not become a SIGBUS later. */
	error = posix_fallocate(fd, 0, (off_t)RD_STATE_LEN);
	if (error == 0) {
		hdr = calloc(1, sizeof(*hdr));
		if (hdr == NULL)
			error = ENOMEM;
		else {
			header_fill(hdr, md, flags);
			if (pwrite(fd, hdr, sizeof(*hdr), 0) != (ssize_t)sizeof(*hdr))
				error = errno;
			free(hdr);
		}
	}
	close(fd);
	errno = error;
	return (error == 0 ? 0 : -1);
}

int
rundir_create(const char *name, enum vm_arch arch, uint32_t flags)
{
	const struct md_ops *md = md_lookup(arch);
	char dir[VM_MAX_NAMELEN + 32], path[4096];
	int parent, error;

	if (name_check(name) != 0)
		return (-1);
	parent = parent_open(path, sizeof(path));
	if (parent < 0)
		return (-1);
	sweep(parent);
	/* Hidden names are numbered, not named after the VM: the VM's name may fill the limit by itself. */
	error = EEXIST;
	for (unsigned i = 0; i < 1000 && error == EEXIST; i++) {
		(void)snprintf(dir, sizeof(dir), ".new.%d.%u", (int)getpid(), i);
		error = mkdirat(parent, dir, 0700) == 0 ? 0 : errno;
	}
	if (error != 0) {
		close(parent);
		return (vm_fail_sys(error, "vm '%s': its directory in '%s' cannot be made", name, path));
	}
	if (files_make(parent, dir, md, flags) != 0) {
		error = errno;
		dir_remove(parent, dir);
		close(parent);
		return (vm_fail_sys(error, "vm '%s': its state cannot be stored in '%s'", name, path));
	}
	for (int try = 0; try < 2; try++) {
		error = renameat2(parent, dir, parent, name, RENAME_NOREPLACE) == 0 ? 0 : errno;
		if (error != EEXIST || !leftover_remove(parent, name, false))
			break;
	}
	if (error != 0)
		dir_remove(parent, dir);
	close(parent);
	if (error == EEXIST)
		return (vm_fail(EEXIST, "vm '%s': exists already in '%s'", name, path));
	if (error != 0)
		return (vm_fail_sys(error, "vm '%s': its directory in '%s' cannot be made", name, path));
	return (0);
}

static int
header_check(const struct rd_header *hdr, off_t size, const char *name, const char *path)
{
	const char *why = NULL;

	if (size < (off_t)RD_STATE_LEN)
		why = "it is too short";
	else if (memcmp(hdr->magic, RD_MAGIC, sizeof(hdr->magic)) != 0)
		why = "it is no hyve VM";
	else if (hdr->version != RD_VERSION || hdr->slot != VCPU_SLOT || hdr->maxcpu != VM_MAXCPU)
		why = "another version of hyve made it";
	else if (md_lookup((enum vm_arch)hdr->arch) == NULL || (hdr->state != RD_LIVE && hdr->state != RD_DEAD))
		why = "its header is damaged";
	if (why != NULL)
		return (vm_fail(EILSEQ, "vm '%s': '%s/%s/state' cannot be used: %s; remove that directory to be rid of it", name,
		    path, name, why));
	if (hdr->state == RD_DEAD)
		return (vm_fail(ENOENT, "vm '%s': was destroyed", name));
	return (0);
}

int
rundir_open(struct vmctx *vm, const char *name)
{
	struct rundir *rd;
	char path[4096];
	struct stat st;
	int error;

	if (name_check(name) != 0)
		return (-1);
	rd = calloc(1, sizeof(*rd));
	if (rd == NULL)
		return (vm_fail_sys(ENOMEM, "vm '%s'", name));
	vm->rd = rd;
	rd->statefd = -1;
	rd->parent = parent_open(path, sizeof(path));
	if (rd->parent < 0)
		return (-1);
	rd->statefd = file_open(rd->parent, name, "state");
	if (rd->statefd < 0) {
		error = errno;
		if (error == ENOENT && faccessat(rd->parent, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
			return (vm_fail(EILSEQ, "vm '%s': '%s/%s' holds no state; remove it, or create the VM again", name, path,
			    name));
		if (error == ENOENT || error == ENOTDIR)
			return (vm_fail(ENOENT, "vm '%s': there is none in '%s'", name, path));
		return (vm_fail_sys(error, "vm '%s': '%s/%s/state'", name, path, name));
	}
	if (flock(rd->statefd, LOCK_EX | LOCK_NB) != 0) {
		error = errno;
		close(rd->statefd);
		rd->statefd = -1;
		if (error == EWOULDBLOCK)
			return (vm_fail(EBUSY, "vm '%s': is in use by another handle; stop the process that has it open", name));
		return (vm_fail_sys(error, "vm '%s': cannot be locked", name));
	}
	if (fstat(rd->statefd, &st) != 0)
		return (vm_fail_sys(errno, "vm '%s'", name));
	if (st.st_size >= (off_t)RD_STATE_LEN) {
		rd->hdr = mmap(NULL, RD_STATE_LEN, PROT_READ | PROT_WRITE, MAP_SHARED, rd->statefd, 0);
		if (rd->hdr == MAP_FAILED) {
			rd->hdr = NULL;
			return (vm_fail_sys(errno, "vm '%s': its state cannot be mapped", name));
		}
	}
	if (header_check(rd->hdr, st.st_size, name, path) != 0)
		return (-1);
	vm->memfd = file_open(rd->parent, name, "mem");
	if (vm->memfd < 0)
		return (vm_fail(EILSEQ, "vm '%s': '%s/%s/mem' cannot be used: %s; remove that directory to be rid of it", name,
		    path, name, strerror(errno)));
	(void)snprintf(vm->name, sizeof(vm->name), "%s", name);
	vm->md = md_lookup((enum vm_arch)rd->hdr->arch);
	vm->flags |= rd->hdr->flags & VM_SPEC_DESTROY;
	return (0);
}

int
rundir_anon(struct vmctx *vm)
{
	struct rundir *rd = calloc(1, sizeof(*rd));

	if (rd == NULL)
		return (vm_fail_sys(ENOMEM, "vm"));
	vm->rd = rd;
	rd->anon = true;
	rd->parent = rd->statefd = -1;
	rd->hdr = mmap(NULL, RD_STATE_LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (rd->hdr == MAP_FAILED) {
		rd->hdr = NULL;
		return (vm_fail_sys(errno, "vm: its state cannot be mapped"));
	}
	header_fill(rd->hdr, vm->md, 0);
	vm->memfd = memfd_create("hyve", MFD_CLOEXEC);
	if (vm->memfd < 0)
		return (vm_fail_sys(errno, "vm: no memory file"));
	return (0);
}

void
rundir_close(struct vmctx *vm)
{
	struct rundir *rd = vm->rd;

	if (rd == NULL)
		return;
	if (rd->hdr != NULL)
		(void)munmap(rd->hdr, RD_STATE_LEN);
	if (vm->memfd >= 0)
		close(vm->memfd);
	if (rd->statefd >= 0)
		close(rd->statefd);
	if (rd->parent >= 0)
		close(rd->parent);
	free(rd);
	vm->rd = NULL;
	vm->memfd = -1;
}

/*
 * Remove the files while the lock is held.  Whoever dropped the right to unlink leaves a header marked dead and an empty memory file,
 * which the next vm_create() clears away.
 */
int
rundir_destroy(struct vmctx *vm)
{
	struct rundir *rd = vm->rd;

	if (rd == NULL || rd->anon || rd->hdr == NULL)
		return (0);
	rd->hdr->state = RD_DEAD;
	(void)ftruncate(vm->memfd, 0);
	dir_remove(rd->parent, vm->name);
	return (0);
}

void *
rundir_vcpu_page(struct vmctx *vm, int id)
{
	return ((uint8_t *)vm->rd->hdr + (size_t)VCPU_SLOT * (size_t)(1 + id));
}

bool
rundir_vcpu_used(struct vmctx *vm, int id)
{
	return ((vm->rd->hdr->vcpu_used >> id & 1) != 0);
}

void
rundir_vcpu_set_used(struct vmctx *vm, int id, bool used)
{
	if (used)
		vm->rd->hdr->vcpu_used |= UINT64_C(1) << id;
	else
		vm->rd->hdr->vcpu_used &= ~(UINT64_C(1) << id);
}

void
rundir_put_caps(struct vcpu *vcpu)
{
	memcpy(vcpu->vm->rd->hdr->caps[vcpu->id], vcpu->caps, sizeof(vcpu->caps));
}

/* Values of capabilities that exist; what a damaged page says of others does not matter. */
void
rundir_get_caps(struct vcpu *vcpu)
{
	const int8_t *caps = vcpu->vm->rd->hdr->caps[vcpu->id];

	for (int i = 0; i < VM_CAP_MAX; i++) {
		if (vcpu->caps[i] >= 0)
			vcpu->caps[i] = caps[i] == 1;
	}
}

void
rundir_put_memory(struct vmctx *vm)
{
	struct rd_header *hdr = vm->rd->hdr;

	hdr->layout = vm->layout;
	hdr->memflags = vm->memflags;
	hdr->sockets = vm->sockets;
	hdr->cores = vm->cores;
	hdr->threads = vm->threads;
	hdr->counter_hz = vm->counter_hz;
	(void)snprintf(hdr->cpu_model, sizeof(hdr->cpu_model), "%s", vm->cpu_model == NULL ? "" : vm->cpu_model);
	for (int i = 0; i < VM_MAX_MEMSEGS; i++) {
		memcpy(hdr->seg[i].name, vm->segs[i].name, sizeof(hdr->seg[i].name));
		hdr->seg[i].len = vm->segs[i].len;
		hdr->seg[i].offset = (uint64_t)vm->segs[i].offset;
	}
	/* A named VM never has more: memory.c refuses.  An anonymous one has no reader. */
	hdr->nmaps = vm->nmaps < RD_MAXMAPS ? vm->nmaps : RD_MAXMAPS;
	for (unsigned i = 0; i < hdr->nmaps; i++) {
		hdr->map[i].gpa = vm->maps[i].gpa;
		hdr->map[i].len = vm->maps[i].len;
		hdr->map[i].segoff = vm->maps[i].segoff;
		hdr->map[i].segid = vm->maps[i].segid;
		hdr->map[i].prot = vm->maps[i].prot;
	}
}

/* Take the memory record of a VM just opened into vm, believing nothing. */
int
rundir_get_memory(struct vmctx *vm)
{
	const struct rd_header *hdr = vm->rd->hdr;
	struct stat st;
	uint64_t end, next = 0;

	if (fstat(vm->memfd, &st) != 0)
		return (vm_fail_sys(errno, "vm '%s': memory file", vm->name));
	if (layout_check(vm->md, &hdr->layout) != 0)
		return (vm_fail(EILSEQ, "vm '%s': the layout in its header is damaged; destroy it", vm->name));
	vm->layout = hdr->layout;
	vm->layout.name[sizeof(vm->layout.name) - 1] = '\0';
	vm->memflags = hdr->memflags;
	vm->sockets = hdr->sockets > 0 ? hdr->sockets : 1;
	vm->cores = hdr->cores > 0 ? hdr->cores : 1;
	vm->threads = hdr->threads > 0 ? hdr->threads : 1;
	vm->counter_hz = hdr->counter_hz > 0 ? hdr->counter_hz : vm->md->counter_hz;
	vm->counter_set = vm->counter_hz != vm->md->counter_hz;
	vm->cpu_model = NULL;
	for (const char *const *name = vm->md->cpu_models; *name != NULL; name++) {
		if (strncmp(hdr->cpu_model, *name, sizeof(hdr->cpu_model)) == 0)
			vm->cpu_model = *name;
	}
	if (hdr->cpu_model[0] != '\0' && vm->cpu_model == NULL)
		return (vm_fail(EILSEQ, "vm '%s': the processor model in its header is damaged; destroy it", vm->name));
	for (int i = 0; i < VM_MAX_MEMSEGS; i++) {
		struct memseg *seg = &vm->segs[i];

		if (hdr->seg[i].len == 0)
			continue;
		if (!page_aligned(hdr->seg[i].len) || !page_aligned(hdr->seg[i].offset) ||
		    __builtin_add_overflow(hdr->seg[i].len, hdr->seg[i].offset, &end) || end > (uint64_t)st.st_size)
			return (vm_fail(EILSEQ, "vm '%s': memory segment %d is damaged; destroy it", vm->name, i));
		memcpy(seg->name, hdr->seg[i].name, sizeof(seg->name));
		seg->name[VM_MAX_SEGNAME] = '\0';
		seg->len = hdr->seg[i].len;
		seg->offset = (off_t)hdr->seg[i].offset;
		if ((off_t)end > vm->memend)
			vm->memend = (off_t)end;
	}
	if (hdr->nmaps > RD_MAXMAPS)
		return (vm_fail(EILSEQ, "vm '%s': the memory map in its header is damaged; destroy it", vm->name));
	vm->maps = calloc(RD_MAXMAPS, sizeof(*vm->maps));
	if (vm->maps == NULL)
		return (vm_fail_sys(ENOMEM, "vm '%s'", vm->name));
	for (unsigned i = 0; i < hdr->nmaps; i++) {
		struct vm_mapping *m = &vm->maps[i];
		uint64_t gpa = hdr->map[i].gpa, len = hdr->map[i].len, off = hdr->map[i].segoff;
		int segid = hdr->map[i].segid;

		if (segid < 0 || segid >= VM_MAX_MEMSEGS || len == 0 || !page_aligned(gpa | len | off) || gpa < next ||
		    __builtin_add_overflow(gpa, len, &next) || next > vm->md->maxpa ||
		    __builtin_add_overflow(off, len, &end) || end > vm->segs[segid].len ||
		    (hdr->map[i].prot & ~VM_PROT_ALL) != 0)
			return (vm_fail(EILSEQ, "vm '%s': mapping %u in its header is damaged; destroy it", vm->name, i));
		*m = (struct vm_mapping){ .gpa = gpa, .len = len, .segoff = off, .segid = segid,
		    .prot = hdr->map[i].prot, .slot = -1 };
		vm->nmaps = i + 1;
	}
	return (0);
}
