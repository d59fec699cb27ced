/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * boot.c - the list of boot protocols, and what they share: files, places in RAM.
 */
#include <sys/mman.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../error.h"
#include "boot.h"

#define	FILE_MAX	(2ULL << 30)

/* What a file says by fixed bytes comes before what is searched for. */
static const struct boot_protocol *const protocols[] = {
	&boot_linux_arm64,
	&boot_linux_amd64,
	&boot_pvh,
	&boot_multiboot,
	&boot_raw_arm64,
};
#define	NPROTOCOLS	(sizeof(protocols) / sizeof(protocols[0]))

static const struct config_key keys[] = {
	KEY_PATH("kernel", NULL, "kernel to start; firmware, where there is one, starts it"),
	KEY_PATH("initrd", NULL, "the kernel's initial RAM disk; for PVH and multiboot its first module"),
	KEY_STRING("cmdline", NULL, "the kernel's command line"),
	KEY_STRING("protocol", NULL, "how the kernel is started, where its file does not say: linux, pvh or multiboot on amd64, linux or raw on arm64"),
};

static const struct config_key module_keys[] = {
	KEY_PATH("path", REQUIRED, "a module for a PVH or multiboot kernel; they come in the order of their numbers, 0 to 15"),
	KEY_STRING("args", NULL, "what its command line has behind the path"),
};

const struct config_keys boot_keys = { keys, sizeof(keys) / sizeof(keys[0]) };
const struct config_keys boot_module_keys = { module_keys, sizeof(module_keys) / sizeof(module_keys[0]) };

const struct boot_protocol *
boot_protocol_at(unsigned i)
{
	return (i < NPROTOCOLS ? protocols[i] : NULL);
}

/* "linux, pvh, multiboot": names of an architecture's protocols, or what they are, into buf. */
static const char *
list(enum vm_arch arch, bool by_name, char *buf, size_t len)
{
	size_t n = 0;

	buf[0] = '\0';
	for (size_t i = 0; i < NPROTOCOLS; i++) {
		const struct boot_protocol *p = protocols[i];

		if (p->arch != arch || (!by_name && p->probe == NULL) || n >= len)
			continue;
		n += (size_t)snprintf(buf + n, len - n, "%s%s", n != 0 ? ", " : "", by_name ? p->name : p->doc);
	}
	return (buf);
}

const struct boot_protocol *
boot_protocol_find(enum vm_arch arch, const char *name)
{
	char names[128];

	for (size_t i = 0; i < NPROTOCOLS; i++) {
		if (protocols[i]->arch == arch && strcmp(protocols[i]->name, name) == 0)
			return (protocols[i]);
	}
	return (vmm_fail_null(ENOENT, "there is no boot protocol '%.32s' for %s guests; there are: %s", name, vm_arch_name(arch),
	    list(arch, true, names, sizeof(names))));
}

const struct boot_protocol *
boot_probe(const struct boot_file *f)
{
	for (size_t i = 0; i < NPROTOCOLS; i++) {
		if (protocols[i]->probe != NULL && protocols[i]->probe(f))
			return (protocols[i]);
	}
	return (NULL);
}

/* The protocol that a kernel is for in a VM of its architecture; NULL with a sentence. */
static const struct boot_protocol *
choose(enum vm_arch arch, const struct boot_file *f)
{
	const struct boot_protocol *other = boot_probe(f);
	char names[256];

	for (size_t i = 0; i < NPROTOCOLS; i++) {
		if (protocols[i]->arch == arch && protocols[i]->probe != NULL && protocols[i]->probe(f))
			return (protocols[i]);
	}
	if (other != NULL)
		return (vmm_fail_null(ENOEXEC, "'%s' is a kernel for %s guests (%s), and this is one of %s", f->path,
		    vm_arch_name(other->arch), other->doc, vm_arch_name(arch)));
	for (size_t i = 0; i < NPROTOCOLS; i++) {
		if (protocols[i]->arch == arch && protocols[i]->explain != NULL && protocols[i]->explain(f) != 0)
			return (NULL);
	}
	return (vmm_fail_null(ENOEXEC, "'%s' is no kernel that an %s guest can boot; there are: %s", f->path, vm_arch_name(arch),
	    list(arch, false, names, sizeof(names))));
}

int
boot_load(struct vmctx *vm, struct vcpu *vcpu, const struct boot_spec *spec, const struct boot_protocol **protocol)
{
	const struct boot_protocol *p = spec->protocol;

	if (p == NULL && (p = choose(vm_get_arch(vm), &spec->kernel)) == NULL)
		return (-1);
	if (protocol != NULL)
		*protocol = p;
	return (p->load(vm, vcpu, spec));
}

static int
read_all(int fd, uint8_t *to, size_t len)
{
	size_t done = 0;
	ssize_t n;

	while (done < len) {
		n = read(fd, to + done, len - done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return (errno);
		if (n == 0)
			return (EIO);
		done += (size_t)n;
	}
	return (0);
}

/* All of it: one request of the kernel in place of a fault for each page. */
static void
about_to_write(void *p, size_t len)
{
#ifdef MADV_POPULATE_WRITE
	uintptr_t first = ((uintptr_t)p + 4095) & ~(uintptr_t)4095, end = ((uintptr_t)p + len) & ~(uintptr_t)4095;

	if (first < end) {
		(void)madvise((void *)first, end - first, MADV_HUGEPAGE);
		(void)madvise((void *)first, end - first, MADV_POPULATE_WRITE);
	}
#endif
}

int
boot_read_file(const char *path, struct boot_file *file)
{
	struct stat st;
	uint8_t *data;
	int fd, error;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return (vmm_fail_sys(errno, "cannot open '%s'", path));
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size == 0) {
		close(fd);
		return (vmm_fail(EINVAL, "'%s' is not a file with something in it", path));
	}
	if ((uint64_t)st.st_size > FILE_MAX) {
		close(fd);
		return (vmm_fail(EFBIG, "'%s' has %jd bytes; more than 2 GiB are never a kernel or an initrd", path,
		    (intmax_t)st.st_size));
	}
	data = malloc((size_t)st.st_size);
	if (data == NULL) {
		close(fd);
		return (vmm_fail(ENOMEM, "no memory for '%s'", path));
	}
	about_to_write(data, (size_t)st.st_size);
	error = read_all(fd, data, (size_t)st.st_size);
	close(fd);
	if (error != 0) {
		free(data);
		return (vmm_fail_sys(error, "cannot read '%s'", path));
	}
	*file = (struct boot_file){ .path = path, .data = data, .len = (size_t)st.st_size, .cmdline = "" };
	return (0);
}

/* RAM */

static bool
in_map(const struct boot_spec *spec, uint64_t gpa, uint64_t len)
{
	for (unsigned i = 0; i < spec->nmap; i++) {
		const struct boot_range *r = &spec->map[i];

		if (r->type == BOOT_RAM && gpa >= r->base && gpa - r->base < r->len && len <= r->len - (gpa - r->base))
			return (true);
	}
	return (false);
}

void *
boot_ram(struct vmctx *vm, const struct boot_spec *spec, uint64_t gpa, uint64_t len, const char *what)
{
	void *p = in_map(spec, gpa, len) ? vm_map_gpa(vm, gpa, len) : NULL;

	if (p == NULL)
		(void)vmm_fail(ENOMEM, "'%s': %s (%" PRIu64 " bytes at %#" PRIx64 ") is not in the guest's RAM; give it more "
		    "memory", spec->kernel.path, what, len, gpa);
	else
		about_to_write(p, len);
	return (p);
}

uint64_t
boot_place(const struct boot_spec *spec, uint64_t floor, uint64_t limit, uint64_t len, const char *what)
{
	uint64_t best = 0;

	for (unsigned i = 0; i < spec->nmap; i++) {
		const struct boot_range *r = &spec->map[i];
		uint64_t end = r->base + r->len, at;

		if (r->type != BOOT_RAM)
			continue;
		if (end > limit)
			end = limit;
		if (end < r->base || end - r->base < len)
			continue;
		at = (end - len) & ~0xfffULL;
		if (at >= r->base && at >= floor && at > best)
			best = at;
	}
	if (best == 0)
		(void)vmm_fail(ENOMEM, "%s (%" PRIu64 " bytes) does not fit in the guest's RAM between %#" PRIx64 " and %#" PRIx64
		    "; give it more memory", what, len, floor, limit);
	return (best);
}
