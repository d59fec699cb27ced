/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * disk.c - hyve disk: images are made, looked at, grown and converted, by the same code that VMs use them with; so an image that a VM uses is locked
 * against this too.
 */
#include <sys/stat.h>

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "block/block.h"
#include "block/create.h"
#include "cmd.h"
#include "error.h"
#include "options.h"

#define	PIECE		(1U << 20)	/* bytes that are copied at a time */
#define	GRAIN		65536U		/* of zeros that a copy leaves out: a cluster */
#define	QCOW2_MAGIC	0x514649fbU

struct disk_options {
	enum block_format format;	/* BLOCK_AUTO: by the name */
	const char	*backing;
	bool		 json, shrink;
	char		**args;
	int		 nargs;
};

static const struct own_option own[] = {
	{ "format", "FORMAT", OPTIONS_OWN + 'f', "create, convert: raw or qcow2 (by the new file's name)" },
	{ "backing", "FILE", OPTIONS_OWN + 'b', "create: what a qcow2 image reads as where it was not written; its size is the default" },
	{ "shrink", NULL, OPTIONS_OWN + 's', "resize: cut off what is behind the new end" },
	{ "json", NULL, OPTIONS_OWN + 'j', "info: as JSON" },
	{ NULL, NULL, 0, NULL },
};

static bool
named_qcow2(const char *path)
{
	size_t len = strlen(path);

	return (len >= 6 && strcmp(path + len - 6, ".qcow2") == 0);
}

static enum block_format
format_of(const char *path, enum block_format asked)
{
	return (asked != BLOCK_AUTO ? asked : named_qcow2(path) ? BLOCK_QCOW2 : BLOCK_RAW);
}

/* A number of bytes, 10G for example; -1 with a sentence. */
static int
parse_size(const char *text, uint64_t *size)
{
	static const struct config_key key = KEY_SIZE("size", 0, BLOCK_SECTOR, INT64_MAX, "");
	struct config_value val;

	if (config_parse_value(&key, text, &val) != 0)
		return (vmm_fail(EINVAL, "size '%s': %s", text, vmm_errmsg()));
	*size = val.u.size;
	return (0);
}

static struct block *
open_disk(const char *path, enum block_format format, bool readonly)
{
	const struct block_options o = { .path = path, .format = format, .readonly = readonly, .aio = BLOCK_AIO_THREADS };

	return (block_open(&o));
}

/* What the header says that there is beside the size; zeros for a raw image. */
struct header {
	bool		 qcow2;
	unsigned	 version;
	uint64_t	 cluster;
	char		 backing[1024];
	struct stat	 st;
};

static int
read_header(const char *path, struct header *h)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint8_t buf[24];
	uint32_t v;
	uint64_t off;

	*h = (struct header){ .qcow2 = false };
	if (fd < 0 || fstat(fd, &h->st) != 0) {
		(void)vmm_fail_sys(errno, "'%s'", path);
		if (fd >= 0)
			close(fd);
		return (-1);
	}
	if (pread(fd, buf, sizeof(buf), 0) == (ssize_t)sizeof(buf)) {
		memcpy(&v, buf, 4);
		h->qcow2 = be32toh(v) == QCOW2_MAGIC;
		memcpy(&v, buf + 4, 4);
		h->version = be32toh(v);
		memcpy(&v, buf + 20, 4);
		h->cluster = be32toh(v) < 32 ? 1ULL << be32toh(v) : 0;
		memcpy(&off, buf + 8, 8);
		memcpy(&v, buf + 16, 4);
		v = be32toh(v);
		if (h->qcow2 && off != 0 && v < sizeof(h->backing) && pread(fd, h->backing, v, (off_t)be64toh(off)) != (ssize_t)v)
			h->backing[0] = '\0';
	}
	close(fd);
	return (0);
}

static int
info(const struct disk_options *o)
{
	const char *path = o->args[0];
	struct header h;
	struct block *b;
	uint64_t size;

	/* Opening it says whether it is one that a VM could use. */
	if (read_header(path, &h) != 0)
		return (-1);
	b = open_disk(path, h.qcow2 && (named_qcow2(path) || o->format == BLOCK_QCOW2) ? BLOCK_QCOW2 : o->format, true);
	if (b == NULL)
		return (-1);
	size = block_size(b);
	block_close(b);
	h.qcow2 &= o->format != BLOCK_RAW;
	if (o->json) {
		json_t *j = json_pack("{s:s, s:s, s:I, s:I}", "file", path, "format", h.qcow2 ? "qcow2" : "raw", "size", (json_int_t)size, "used",
		    (json_int_t)h.st.st_blocks * 512);

		if (h.qcow2)
			(void)json_object_update_new(j, json_pack("{s:i, s:I}", "version", (int)h.version, "cluster", (json_int_t)h.cluster));
		if (h.qcow2 && h.backing[0] != '\0')
			(void)json_object_set_new(j, "backing", json_string(h.backing));
		return (cmd_json(j) == 0 ? 0 : -1);
	}
	printf("file:    %s\nformat:  %s\nsize:    %" PRIu64 " bytes (%.1f MiB)\nused:    %" PRIu64 " bytes\n", path, h.qcow2 ? "qcow2" : "raw", size,
	    (double)size / (1 << 20), (uint64_t)h.st.st_blocks * 512);
	if (h.qcow2)
		printf("version: %u, clusters of %" PRIu64 " bytes\n", h.version, h.cluster);
	if (h.qcow2 && h.backing[0] != '\0') {
		/* Whoever made the image chose the name. */
		for (char *p = h.backing; *p != '\0'; p++)
			*p = *p < ' ' || *p == 0x7f ? '?' : *p;
		printf("backing: %s\n", h.backing);
	}
	return (0);
}

static int
make(const char *path, enum block_format format, uint64_t size, const char *backing)
{
	struct header h = { .qcow2 = false };

	if (format == BLOCK_RAW)
		return (backing == NULL ? raw_create(path, size) : vmm_fail(EINVAL, "a raw image has no backing file; --format qcow2"));
	if (backing != NULL)
		h.qcow2 = named_qcow2(backing);
	return (qcow2_create(path, size, backing, h.qcow2 ? BLOCK_QCOW2 : BLOCK_RAW));
}

/* A backing file's size; relative names are beside the image. */
static int
backing_size(const char *path, const char *backing, uint64_t *size)
{
	const char *slash = strrchr(path, '/');
	char *whole = NULL;
	struct block *b;

	if (asprintf(&whole, "%.*s%s", slash != NULL && backing[0] != '/' ? (int)(slash - path) + 1 : 0, path, backing) < 0)
		return (vmm_fail(ENOMEM, "no memory"));
	b = open_disk(whole, BLOCK_AUTO, true);
	free(whole);
	if (b == NULL)
		return (-1);
	*size = block_size(b);
	block_close(b);
	return (0);
}

static int
create(const struct disk_options *o)
{
	uint64_t size = 0;

	if (o->backing != NULL && backing_size(o->args[0], o->backing, &size) != 0)
		return (-1);
	if (o->nargs == 1 && o->backing == NULL)
		return (vmm_fail(EINVAL, "'%s': how large is it to be? hyve disk create FILE SIZE", o->args[0]));
	if (o->nargs == 2 && parse_size(o->args[1], &size) != 0)
		return (-1);
	return (make(o->args[0], format_of(o->args[0], o->format), size, o->backing));
}

static int
resize(const struct disk_options *o)
{
	const char *path = o->args[0];
	struct block *b;
	struct header h;
	uint64_t size = 0, old;
	int r = -1;

	if (read_header(path, &h) != 0 || parse_size(o->args[1], &size) != 0)
		return (-1);
	if (h.qcow2 && o->format != BLOCK_RAW)
		return (vmm_fail(ENOTSUP, "'%s' is a qcow2 image, whose size hyve does not change: 'qemu-img resize' does", path));
	if (!S_ISREG(h.st.st_mode))
		return (vmm_fail(EINVAL, "'%s' is no file", path));
	if (size % BLOCK_SECTOR != 0)
		return (vmm_fail(EINVAL, "a disk is a whole number of sectors of %u bytes, which %" PRIu64 " is not", BLOCK_SECTOR, size));
	/* While it is open nobody else has it. */
	b = open_disk(path, BLOCK_RAW, false);
	if (b == NULL)
		return (-1);
	old = block_size(b);
	if (size < old && !o->shrink)
		(void)vmm_fail(EINVAL, "'%s' has %" PRIu64 " bytes: --shrink cuts off what is behind the new end", path, old);
	else if (truncate(path, (off_t)size) != 0)
		(void)vmm_fail_sys(errno, "'%s'", path);
	else
		r = 0;
	block_close(b);
	return (r);
}

/* A request that is waited for. */
struct waiting {
	pthread_mutex_t	 lock;
	pthread_cond_t	 cond;
	bool		 over;
};

static void
over(struct block_req *req)
{
	struct waiting *w = req->arg;

	pthread_mutex_lock(&w->lock);
	w->over = true;
	pthread_cond_signal(&w->cond);
	pthread_mutex_unlock(&w->lock);
}

/* 0 or an errno. */
static int
transfer(struct block *b, enum block_op op, void *buf, uint64_t off, uint64_t len)
{
	struct waiting w = { .lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER };
	struct iovec iov = { buf, (size_t)len };
	struct block_req req = { .op = op, .off = off, .len = len, .iov = &iov, .niov = buf != NULL, .done = over, .arg = &w };

	block_submit(b, &req);
	pthread_mutex_lock(&w.lock);
	while (!w.over)
		pthread_cond_wait(&w.cond, &w.lock);
	pthread_mutex_unlock(&w.lock);
	return (req.error);
}

static bool
zeros(const char *buf, size_t len)
{
	return (buf[0] == 0 && memcmp(buf, buf + 1, len - 1) == 0);
}

/* Write what is not zeros, which the new image has already. */
static int
copy_piece(struct block *from, struct block *to, char *buf, uint64_t off, size_t len)
{
	int error = transfer(from, BLOCK_READ, buf, off, len);

	for (size_t at = 0; error == 0 && at < len; at += GRAIN) {
		size_t part = len - at < GRAIN ? len - at : GRAIN;

		if (!zeros(buf + at, part))
			error = transfer(to, BLOCK_WRITE, buf + at, off + at, part);
	}
	return (error);
}

static int
copy(struct block *from, struct block *to, const char *what)
{
	uint64_t size = block_size(from);
	bool terminal = isatty(STDERR_FILENO);
	char *buf = malloc(PIECE);
	int error = buf != NULL ? 0 : ENOMEM;
	unsigned told = UINT_MAX;

	for (uint64_t off = 0; error == 0 && off < size; off += PIECE) {
		unsigned percent = (unsigned)((double)off / (double)size * 100);

		if (terminal && percent != told)
			fprintf(stderr, "\rhyve: '%s': %u%%", what, percent);
		told = percent;
		error = copy_piece(from, to, buf, off, size - off < PIECE ? (size_t)(size - off) : PIECE);
	}
	if (terminal)
		fputs("\r\033[K", stderr);
	if (error == 0)
		error = transfer(to, BLOCK_FLUSH, NULL, 0, 0);
	free(buf);
	return (error == 0 ? 0 : vmm_fail_sys(error, "cannot copy to '%s'", what));
}

static int
convert(const struct disk_options *o)
{
	enum block_format format = format_of(o->args[1], o->format);
	struct block *from = open_disk(o->args[0], BLOCK_AUTO, true), *to = NULL;
	int r = -1;

	if (from == NULL)
		return (-1);
	if (make(o->args[1], format, block_size(from), NULL) == 0) {
		to = open_disk(o->args[1], format, false);
		if (to != NULL)
			r = copy(from, to, o->args[1]);
		if (r != 0)
			(void)unlink(o->args[1]);
	}
	block_close(to);
	block_close(from);
	return (r);
}

static const struct {
	const char	*name;
	int		 min, max;	/* arguments */
	int		(*run)(const struct disk_options *o);	/* -1 with a sentence */
} actions[] = {
	{ "convert", 2, 2, convert },
	{ "create", 1, 2, create },
	{ "info", 1, 1, info },
	{ "resize", 2, 2, resize },
};

static const char *
action_name(const void *arg, size_t i)
{
	return (actions[i].name);
}

static int
act(const struct verb *verb, struct disk_options *o)
{
	const size_t n = sizeof(actions) / sizeof(actions[0]);
	const char *word = o->args[0], *near;

	o->args++;
	o->nargs--;
	for (size_t i = 0; i < n; i++) {
		if (strcmp(actions[i].name, word) != 0)
			continue;
		if (o->nargs < actions[i].min || o->nargs > actions[i].max)
			return (cmd_usage(verb, 1));
		return (actions[i].run(o) == 0 ? 0 : cmd_fail(1, "%s", vmm_errmsg()));
	}
	near = config_nearest(word, n, action_name, NULL);
	return (cmd_fail(1, "hyve disk does not know '%s'%s%s%s", word, near != NULL ? "; did you mean '" : "", near != NULL ? near : "",
	    near != NULL ? "'?" : ""));
}

int
cmd_disk(const struct verb *verb, int argc, char **argv)
{
	struct disk_options d = { .format = BLOCK_AUTO };
	struct options o;
	int opt, code = -1;

	if (options_init(&o, verb, NULL, false, own) != 0)
		return (cmd_fail(1, "%s", vmm_errmsg()));
	while (code < 0 && (opt = options_next(&o, argc, argv)) != -1) {
		if (opt == OPTIONS_OWN + 'f' && strcmp(optarg, "raw") == 0)
			d.format = BLOCK_RAW;
		else if (opt == OPTIONS_OWN + 'f' && strcmp(optarg, "qcow2") == 0)
			d.format = BLOCK_QCOW2;
		else if (opt == OPTIONS_OWN + 'f')
			code = cmd_fail(1, "format '%s' is neither raw nor qcow2: 'qemu-img convert' knows others", optarg);
		else if (opt == OPTIONS_OWN + 'b')
			d.backing = optarg;
		else if (opt == OPTIONS_OWN + 's')
			d.shrink = true;
		else if (opt == OPTIONS_OWN + 'j')
			d.json = true;
		else
			code = opt == 'h' ? options_help(&o) : cmd_usage(verb, 1);
	}
	options_fini(&o);
	if (code >= 0)
		return (code);
	d.args = argv + optind;
	d.nargs = argc - optind;
	return (d.nargs != 0 ? act(verb, &d) : cmd_usage(verb, 1));
}
