/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cfi_flash.c - NOR flash with the Intel command set (CFI primary command set 0001; JEDEC JESD68.01 for the query; the commands as in
 * Intel's 28F640J3 and P30 datasheets).
 *
 * Chips lie side by side on the bus and get the same command at once: two of 16 bits on a bus of 32, for example.  What differs
 * between boards is data: size, erase block, width of the bus and number of chips.
 *
 * In read array mode the array is memory: a mapped, read-only segment, whose writes come here.  In all other modes it is unmapped
 * and reads come here too.  Firmware stays in status mode from the first command of an operation to its last, so the map changes
 * twice per operation at most.
 *
 * What was programmed is written to the file FLUSH_NS after the first change, by a thread of its own, as that waits for the disk and a
 * serial port may not; and at every pause.  Blocks that changed are written, all of them or none (nvstore.h).  They are taken between
 * commands, so the file is always what the flash was at one moment.
 *
 * f->lock guards everything here.  It is held over changes of the map; a vCPU that waits for it is in a handler, and so in nobody's way.
 */
#include <sys/mman.h>

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "../device.h"
#include "../error.h"
#include "../thread.h"
#include "nvstore.h"

#define	FLUSH_NS	50000000ULL
#define	RETRY_NS	1000000000ULL
#define	WORDS_MAX	32U		/* of a write buffer, in words of the bus */
#define	BLOCKS_MAX	1024U		/* erase blocks */
#define	SEGMENT_FIRST	16		/* memory segments that flash may take, besides the boot ROM's */
#define	PAGE		4096U

_Static_assert(NVSTORE_BLOCK == VM_PAGE_SIZE && NVSTORE_BLOCK == PAGE, "blocks of the file are pages");

/* Status register */
#define	SR_READY	0x80U
#define	SR_ERASE	0x20U
#define	SR_PROGRAM	0x10U
#define	SR_LOCKED	0x02U
#define	SR_SEQUENCE	(SR_ERASE | SR_PROGRAM)

/* What reads show. */
enum mode { ARRAY, STATUS, ID, QUERY, MODES };
/* What the next write is. */
enum cycle { COMMAND, PROGRAM, ERASE, COUNT, DATA, CONFIRM, LOCK, CYCLES };

struct flash {
	struct device	*dev;
	struct vm_range	*range;
	pthread_mutex_t	 lock;
	/* geometry */
	uint64_t	 size, block;
	unsigned	 width, lane;	/* bytes of a word on the bus, and of a chip's part of it */
	uint8_t		 query[0x40];
	bool		 readonly;

	int		 segid;
	uint8_t		*mem;
	uint64_t	 len;		/* bytes of mem that are the chip's; behind them it is erased */
	uint64_t	 map_len;	/* what of them is mapped */
	bool		 mapped;
	uint64_t	 lo, hi;	/* changed since it was mapped last */

	struct nvstore	*nv;		/* NULL: its content is gone with the VM */
	struct event	*timer;
	pthread_t	 writer;
	bool		 has_writer;
	bool		 due, busy, ending;	/* it is to write; it does; it is to end */
	pthread_cond_t	 cond;		/* one of these changed */
	uint64_t	*dirty;		/* a bit per page */
	unsigned	 ndirty;
	bool		 active;	/* between resume and pause */
	bool		 loaded;	/* a snapshot, so that the file may differ anywhere */

	/* state */
	uint8_t		 mode, cycle, status;
	uint64_t	 kept;		/* len, of a chip that may change */
	uint16_t	 count;		/* words that the write buffer still takes */
	uint16_t	 room;		/* words that it was opened for */
	uint64_t	 at;		/* where it begins; valid once it has a word */
	uint8_t		 buf[WORDS_MAX * 8], have[WORDS_MAX * 8];
	uint8_t		 locked[BLOCKS_MAX / 8];
};

/* Contents */

static void
changed(struct flash *f, uint64_t off, uint64_t len)
{
	if (f->lo == f->hi) {
		f->lo = off;
		f->hi = off + len;
	} else {
		f->lo = off < f->lo ? off : f->lo;
		f->hi = off + len > f->hi ? off + len : f->hi;
	}
	if (f->nv == NULL || f->readonly)
		return;
	if (f->ndirty == 0 && f->active)
		event_timer_arm(f->timer, FLUSH_NS);
	for (uint64_t page = off / PAGE; page <= (off + len - 1) / PAGE; page++) {
		uint64_t bit = 1ULL << (page % 64);

		f->ndirty += (f->dirty[page / 64] & bit) == 0;
		f->dirty[page / 64] |= bit;
	}
}

static bool
is_locked(const struct flash *f, uint64_t off)
{
	return ((f->locked[off / f->block / 8] & 1U << (off / f->block % 8)) != 0);
}

/* Whether what is at off may change; else the status says why not. */
static bool
may_change(struct flash *f, uint64_t off, unsigned error)
{
	if (!f->readonly && !is_locked(f, off))
		return (true);
	f->status |= (uint8_t)(error | SR_LOCKED);
	return (false);
}

/* The chip's content up to there is in memory, in whole blocks. */
static void
extend(struct flash *f, uint64_t end)
{
	if (end <= f->len)
		return;
	end = (end + f->block - 1) & ~(f->block - 1);
	memset(f->mem + f->len, 0xff, end - f->len);
	changed(f, f->len, end - f->len);
	f->len = f->kept = end;
}

/* Programming makes ones zeros. */
static void
program(struct flash *f, uint64_t off, const uint8_t *bytes, const uint8_t *have, unsigned len)
{
	if (!may_change(f, off, SR_PROGRAM))
		return;
	if (len > f->size - off)
		len = (unsigned)(f->size - off);
	extend(f, off + len);
	for (unsigned i = 0; i < len; i++) {
		if (have == NULL || have[i] != 0)
			f->mem[off + i] &= bytes[i];
	}
	changed(f, off, len);
}

static void
erase(struct flash *f, uint64_t off)
{
	if (!may_change(f, off, SR_ERASE))
		return;
	off -= off % f->block;
	if (off >= f->len)
		return;
	memset(f->mem + off, 0xff, f->block);
	changed(f, off, f->block);
}

/* The file */

/* A bit per page. */
static uint64_t
dirty_words(const struct flash *f)
{
	return ((f->size / PAGE + 63) / 64);
}

/* Take the blocks that changed; NULL if there are none or no memory.  The lock is held. */
static uint8_t *
take(struct flash *f, size_t *n, uint64_t **block)
{
	uint8_t *data;

	*n = 0;
	if (f->ndirty == 0)
		return (NULL);
	data = malloc((size_t)f->ndirty * (PAGE + sizeof(**block)));
	if (data == NULL)
		return (NULL);
	*block = (uint64_t *)(void *)(data + (size_t)f->ndirty * PAGE);
	for (uint64_t i = 0; i < dirty_words(f); i++) {
		for (uint64_t bits = f->dirty[i]; bits != 0; bits &= bits - 1) {
			uint64_t page = i * 64 + (unsigned)__builtin_ctzll(bits);

			(*block)[*n] = page;
			memcpy(data + *n * PAGE, f->mem + page * PAGE, PAGE);
			++*n;
		}
		f->dirty[i] = 0;
	}
	f->ndirty = 0;
	return (data);
}

/* The writer, or the control thread while that is idle. */
static void
flush(struct flash *f)
{
	uint64_t *block = NULL;
	uint8_t *data;
	bool good = true;
	size_t n;

	pthread_mutex_lock(&f->lock);
	data = take(f, &n, &block);
	pthread_mutex_unlock(&f->lock);
	if (data != NULL && nvstore_write(f->nv, n, block, data) != 0) {
		device_log(f->dev, LOG_LEVEL_ERROR, "%s; it is tried again", vmm_errmsg());
		good = false;
	}
	pthread_mutex_lock(&f->lock);
	for (size_t i = 0; !good && i < n; i++) {
		uint64_t bit = 1ULL << (block[i] % 64);

		f->ndirty += (f->dirty[block[i] / 64] & bit) == 0;
		f->dirty[block[i] / 64] |= bit;
	}
	if (f->ndirty != 0 && f->active)
		event_timer_arm(f->timer, RETRY_NS);
	pthread_mutex_unlock(&f->lock);
	free(data);
}

static void *
writer(void *arg)
{
	struct flash *f = arg;

	pthread_mutex_lock(&f->lock);
	while (!f->ending) {
		if (!f->due) {
			pthread_cond_wait(&f->cond, &f->lock);
			continue;
		}
		f->due = false;
		f->busy = true;
		pthread_mutex_unlock(&f->lock);
		flush(f);
		pthread_mutex_lock(&f->lock);
		f->busy = false;
		pthread_cond_broadcast(&f->cond);
	}
	pthread_mutex_unlock(&f->lock);
	return (NULL);
}

/* Control thread. */
static void
flush_due(void *arg)
{
	struct flash *f = arg;

	pthread_mutex_lock(&f->lock);
	f->due = f->active;
	pthread_cond_broadcast(&f->cond);
	pthread_mutex_unlock(&f->lock);
}

static void
end_writer(struct flash *f)
{
	if (!f->has_writer)
		return;
	pthread_mutex_lock(&f->lock);
	f->ending = true;
	pthread_cond_broadcast(&f->cond);
	pthread_mutex_unlock(&f->lock);
	(void)pthread_join(f->writer, NULL);
	f->has_writer = false;
}

/* The map */

/* Mapped in read array mode, and only there.  The lock is held. */
static void
remap(struct flash *f)
{
	struct vmctx *vm = f->dev->vmm->vm;
	uint64_t base = f->dev->place.base;
	bool want = f->mode == ARRAY;

	/* Where it fails the chip works by handlers, slowly. */
	if (f->mapped && (!want || f->map_len != f->len)) {
		if (vm_munmap_memseg(vm, base, f->map_len) != 0) {
			device_guest_log(f->dev, "%s", vm_errmsg());
			return;
		}
		f->mapped = false;
	}
	if (!want || f->mapped)
		return;
	if (vm_mmap_memseg(vm, base, f->segid, 0, f->len, VM_PROT_READ | VM_PROT_EXEC) != 0) {
		device_guest_log(f->dev, "%s", vm_errmsg());
		return;
	}
	f->mapped = true;
	f->map_len = f->len;
	if (f->lo != f->hi) {
		(void)vm_dirty_mark(vm, base + f->lo, f->hi - f->lo);
		f->lo = f->hi = 0;
	}
}

/* Commands */

/* The first write of a command: what reads show from then on, and what comes next. */
static const struct command {
	uint8_t		 code, mode, cycle;
} commands[] = {
	{ 0xff, ARRAY, COMMAND }, { 0xf0, ARRAY, COMMAND },	/* the latter is others' reset, which probes send */
	{ 0x70, STATUS, COMMAND }, { 0x90, ID, COMMAND }, { 0x98, QUERY, COMMAND },
	{ 0x10, STATUS, PROGRAM }, { 0x40, STATUS, PROGRAM }, { 0x20, STATUS, ERASE }, { 0xe8, STATUS, COUNT },
	{ 0x60, STATUS, LOCK },
	{ 0xb0, STATUS, COMMAND }, { 0xd0, STATUS, COMMAND },	/* suspend, resume: everything is over at once */
};

static void
first_cycle(struct flash *f, uint8_t code)
{
	if (code == 0x50) {
		/* Ready too until something is done: by that OVMF knows flash from memory and ROM.  Reads show what they did. */
		f->status = 0;
		return;
	}
	if (code != 0x70)
		f->status |= SR_READY;
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (commands[i].code == code) {
			f->mode = commands[i].mode;
			f->cycle = commands[i].cycle;
			return;
		}
	}
	/* Code that runs in place stores to its own variables, in vain and at every start: AAVMF's early modules do. */
	if (!f->readonly)
		device_guest_log(f->dev, "unknown command %#x", code);
	f->mode = ARRAY;
}

static void
lock_cycle(struct flash *f, uint64_t off, uint8_t code)
{
	uint8_t bit = (uint8_t)(1U << (off / f->block % 8)), *byte = &f->locked[off / f->block / 8];

	f->cycle = COMMAND;
	if (code == 0x01 || code == 0x2f)
		*byte |= bit;
	else if (code == 0xd0)
		*byte &= (uint8_t)~bit;
	else
		f->status |= SR_SEQUENCE;
}

static void
count_cycle(struct flash *f, uint8_t count)
{
	f->cycle = DATA;
	f->count = f->room = (uint16_t)(count + 1);
	memset(f->have, 0, sizeof(f->have));
	if (f->count > WORDS_MAX) {
		f->status |= SR_SEQUENCE;
		f->cycle = COMMAND;
		f->count = f->room = 0;
	}
}

static void
data_cycle(struct flash *f, uint64_t off, unsigned size, const uint8_t *bytes)
{
	if (f->count == f->room)
		f->at = off;
	f->count--;
	/* Within the buffer and within one block, from the first address on. */
	if (off < f->at || off + size - f->at > (uint64_t)f->room * f->width || off / f->block != f->at / f->block) {
		f->status |= SR_SEQUENCE;
		f->cycle = COMMAND;
		return;
	}
	memcpy(f->buf + (off - f->at), bytes, size);
	memset(f->have + (off - f->at), 1, size);
	if (f->count == 0)
		f->cycle = CONFIRM;
}

static void
confirm_cycle(struct flash *f, uint8_t code)
{
	f->cycle = COMMAND;
	if (code == 0xd0)
		program(f, f->at, f->buf, f->have, f->room * f->width);
	else
		f->status |= SR_SEQUENCE;
}

/* vCPU's thread.  The chips get the same command: the lowest one's counts. */
static void
flash_write(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size, uint64_t val)
{
	struct flash *f = arg;
	uint8_t code, bytes[8];

	if (size > f->size - off)
		return;
	/* A wider access than the bus is several on it. */
	for (; size > f->width; size -= f->width, off += f->width, val >>= 8 * f->width)
		flash_write(arg, vcpu, off, f->width, val & ((1ULL << (8 * f->width)) - 1));
	if (off % f->width + size > f->width)
		return;			/* across words: no driver does */
	memcpy(bytes, &val, sizeof(bytes));
	code = (uint8_t)val;
	pthread_mutex_lock(&f->lock);
	switch ((enum cycle)f->cycle) {
	case COMMAND:
		first_cycle(f, code);
		break;
	case PROGRAM:
		f->cycle = COMMAND;
		program(f, off, bytes, NULL, size);
		break;
	case ERASE:
		f->cycle = COMMAND;
		if (code == 0xd0)
			erase(f, off);
		else
			f->status |= SR_SEQUENCE;
		break;
	case COUNT:
		count_cycle(f, code);
		break;
	case DATA:
		data_cycle(f, off, size, bytes);
		break;
	case CONFIRM:
		confirm_cycle(f, code);
		break;
	case LOCK:
		lock_cycle(f, off, code);
		break;
	case CYCLES:
		break;
	}
	remap(f);
	pthread_mutex_unlock(&f->lock);
}

/* What one chip says at a word of the bus. */
static unsigned
chip_says(const struct flash *f, uint64_t off)
{
	uint64_t word = off / f->width;

	switch ((enum mode)f->mode) {
	case ID:
		word = off % f->block / f->width;
		return (word == 0 ? 0x89 : word == 1 ? 0x18 : word == 2 ? is_locked(f, off) : 0);
	case QUERY:
		return (word < sizeof(f->query) ? f->query[word] : 0);
	default:
		return (f->status);
	}
}

/* vCPU's thread. */
static uint64_t
flash_read(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size)
{
	struct flash *f = arg;
	uint64_t val = 0;

	pthread_mutex_lock(&f->lock);
	for (unsigned i = 0; i < size; i++) {
		uint64_t at = off + i;
		unsigned byte = at < f->len ? f->mem[at] : 0xff;

		/* The lowest byte of each chip's part; the others are zero. */
		if (f->mode != ARRAY && at < f->size)
			byte = at % f->lane == 0 ? chip_says(f, at) : 0;
		val |= (uint64_t)(byte & 0xff) << (8 * i);
	}
	pthread_mutex_unlock(&f->lock);
	return (val);
}

/* JESD68.01: the query structure of one chip, a byte per word, and Intel's table behind it. */
static void
make_query(struct flash *f)
{
	unsigned chips = f->width / f->lane;
	uint64_t size = f->size / chips, block = f->block / chips, n = f->size / f->block - 1;
	uint8_t *q = f->query;

	memcpy(q + 0x10, "QRY", 3);
	q[0x13] = 1;			/* command set 0001, its table */
	q[0x15] = 0x31;
	q[0x1b] = 0x27;			/* 2.7 to 3.6 V; no programming voltage */
	q[0x1c] = 0x36;
	q[0x1f] = 7;			/* typical times as powers of 2: a word, a buffer (us), a block (ms) */
	q[0x20] = 7;
	q[0x21] = 10;
	q[0x23] = q[0x24] = q[0x25] = 4;	/* and at most so many times longer */
	q[0x27] = (uint8_t)(64 - __builtin_clzll(size - 1));	/* what the next chip that is made would have; the region below is exact */
	q[0x28] = f->lane == 2;		/* interface: x8 or x16 */
	q[0x2a] = (uint8_t)__builtin_ctz(WORDS_MAX * f->lane);
	q[0x2c] = 1;			/* one region of equal blocks */
	q[0x2d] = (uint8_t)n;
	q[0x2e] = (uint8_t)(n >> 8);
	q[0x2f] = (uint8_t)(block >> 8);
	q[0x30] = (uint8_t)(block >> 16);
	memcpy(q + 0x31, "PRI10", 5);	/* version 1.0 without options: nothing can be suspended, blocks need no unlocking */
	q[0x3d] = 0x33;			/* 3.3 V */
}

/* Life */

static int
find_segment(struct flash *f)
{
	struct vmctx *vm = f->dev->vmm->vm;
	size_t len;

	for (int id = f->readonly ? VM_BOOTROM : SEGMENT_FIRST; id < VM_MAX_MEMSEGS; id = id == VM_BOOTROM ? SEGMENT_FIRST : id + 1) {
		if (vm_get_memseg(vm, id, &len, NULL, 0) == 0 && len == 0) {
			f->segid = id;
			return (0);
		}
	}
	return (vmm_fail(ENOSPC, "%s: no memory segment is left", f->dev->name));
}

static int
set_geometry(struct flash *f)
{
	struct config_node *c = f->dev->config;
	uint64_t chips = (uint64_t)config_num(c, "chips");

	f->size = (uint64_t)config_num(c, "size");
	f->block = (uint64_t)config_num(c, "block");
	f->width = (unsigned)config_num(c, "width");
	f->lane = f->width / (unsigned)chips;
	if (f->size % f->block != 0 || (f->block & (f->block - 1)) != 0 || (f->width & (f->width - 1)) != 0 ||
	    f->lane * chips != f->width || (f->lane != 1 && f->lane != 2) || f->size / f->block > BLOCKS_MAX)
		return (vmm_fail(EINVAL, "%s: no flash has size %" PRIu64 ", block %" PRIu64 ", width %u and %" PRIu64 " chips: block and "
		    "width are powers of two, chips are 1 or 2 bytes wide, and there are at most %u whole blocks", f->dev->name, f->size,
		    f->block, f->width, chips, BLOCKS_MAX));
	make_query(f);
	return (0);
}

/* From the file or, without one, from the template. */
static int
load(struct flash *f, const char *path, const char *template_path)
{
	bool from_template = path == NULL && template_path != NULL;
	struct nvstore *nv = NULL;
	int error = 0;

	if (from_template)
		nv = nvstore_open(template_path, NULL, f->size, true);
	else if (path != NULL)
		nv = nvstore_open(path, template_path, f->size, f->readonly);
	if (nv == NULL && (path != NULL || from_template))
		return (-1);
	/* Code need not fill its chip. */
	f->len = f->readonly && nv != NULL ? (nvstore_size(nv) + PAGE - 1) & ~(uint64_t)(PAGE - 1) : f->size;
	f->mem = vm_create_devmem(f->dev->vmm->vm, f->segid, f->dev->name, f->len);
	if (f->mem == MAP_FAILED) {
		f->mem = NULL;
		error = vmm_fail_vm("%s", f->dev->name);
	} else if (nv != NULL) {
		error = nvstore_read(nv, f->mem);
	} else {
		/* All of it would be tens of MiB that nobody looks at. */
		f->len = 0;
		extend(f, f->block);
	}
	f->kept = f->len;
	if (error != 0 || from_template || f->readonly)
		nvstore_close(nv);
	else
		f->nv = nv;
	return (error);
}

static void
flash_fini(struct device *dev)
{
	struct flash *f = dev->soft;

	vm_range_remove(f->range);
	(void)vm_range_sync(dev->vmm->vm);
	if (f->mapped)
		(void)vm_munmap_memseg(dev->vmm->vm, dev->place.base, f->map_len);
	end_writer(f);
	if (f->nv != NULL && f->dirty != NULL)
		flush(f);
	event_remove(f->timer);
	nvstore_close(f->nv);
	free(f->dirty);
	pthread_cond_destroy(&f->cond);
	pthread_mutex_destroy(&f->lock);
}

static int
flash_init(struct device *dev)
{
	struct flash *f = dev->soft;

	f->dev = dev;
	pthread_mutex_init(&f->lock, NULL);
	pthread_cond_init(&f->cond, NULL);
	f->readonly = config_bool(dev->config, "readonly");
	if (set_geometry(f) != 0 || find_segment(f) != 0 ||
	    load(f, config_str(dev->config, "path"), config_str(dev->config, "template")) != 0)
		goto fail;
	f->dirty = calloc(dirty_words(f), sizeof(*f->dirty));
	f->timer = event_timer_add(dev->vmm->loop, flush_due, f);
	if (f->dirty == NULL || f->timer == NULL) {
		(void)vmm_fail(ENOMEM, "%s: no memory", dev->name);
		goto fail;
	}
	if (f->nv != NULL) {
		int error = thread_create(&f->writer, writer, f);

		if (error != 0) {
			(void)vmm_fail_sys(error, "%s: a thread", dev->name);
			goto fail;
		}
		f->has_writer = true;
	}
	f->range = device_claim(dev, f->size, flash_read, flash_write, f);
	if (f->range == NULL)
		goto fail;
	return (0);
fail:
	flash_fini(dev);
	return (-1);
}

static void
flash_reset(struct device *dev)
{
	struct flash *f = dev->soft;

	pthread_mutex_lock(&f->lock);
	f->mode = ARRAY;
	f->cycle = COMMAND;
	f->status = SR_READY;
	f->count = f->room = 0;
	f->at = 0;
	memset(f->buf, 0, sizeof(f->buf));
	memset(f->have, 0, sizeof(f->have));
	memset(f->locked, 0, sizeof(f->locked));
	remap(f);
	pthread_mutex_unlock(&f->lock);
}

/* Then the file has all that the flash has. */
static void
flash_pause(struct device *dev)
{
	struct flash *f = dev->soft;

	pthread_mutex_lock(&f->lock);
	f->active = f->due = false;
	while (f->busy)
		pthread_cond_wait(&f->cond, &f->lock);
	pthread_mutex_unlock(&f->lock);
	event_timer_disarm(f->timer);
	if (f->nv != NULL)
		flush(f);
}

static void
flash_resume(struct device *dev)
{
	struct flash *f = dev->soft;

	pthread_mutex_lock(&f->lock);
	f->active = true;
	if (f->loaded && f->nv != NULL && !f->readonly) {
		extend(f, f->size);
		changed(f, 0, f->size);
	}
	f->loaded = false;
	remap(f);
	if (f->ndirty != 0)
		event_timer_arm(f->timer, FLUSH_NS);
	pthread_mutex_unlock(&f->lock);
}

static int
flash_check(void *obj)
{
	struct flash *f = obj;

	if (f->mode >= MODES || f->cycle >= CYCLES || f->room > WORDS_MAX || f->count > f->room ||
	    (f->cycle == DATA && f->count == 0) ||
	    ((f->cycle == DATA || f->cycle == CONFIRM) && (f->at >= f->size || (f->room == 0))))
		return (vm_state_complain("flash: mode %u, cycle %u, %u of %u words at %#" PRIx64, f->mode, f->cycle, f->count,
		    f->room, f->at));
	if (!f->readonly) {
		if (f->kept == 0 || f->kept > f->size || f->kept % f->block != 0)
			return (vm_state_complain("flash: %" PRIu64 " bytes of %" PRIu64 " are in memory", f->kept, f->size));
		f->len = f->kept;
	}
	f->loaded = true;
	return (0);
}

static const struct config_key keys[] = {
	KEY_PATH("path", NULL, "file with its content; without one it is gone with the VM"),
	KEY_PATH("template", NULL, "what a new file begins with"),
	KEY_BOOL("readonly", false, "refuse to program and erase"),
	KEY_SIZE("size", 64LL << 20, 64LL << 10, 256LL << 20, "bytes of all chips"),
	KEY_SIZE("block", 256LL << 10, 4096, 4LL << 20, "bytes of an erase block of all chips"),
	KEY_INT("width", 4, 1, 4, "bytes of the bus"),
	KEY_INT("chips", 2, 1, 4, "chips beside each other on the bus"),
};

static const struct vm_state_field fields[] = {
	VM_STATE_U8(struct flash, mode), VM_STATE_U8(struct flash, cycle), VM_STATE_U8(struct flash, status), VM_STATE_U64(struct flash, kept),
	VM_STATE_U16(struct flash, count), VM_STATE_U16(struct flash, room), VM_STATE_U64(struct flash, at),
	VM_STATE_BYTES(struct flash, buf), VM_STATE_BYTES(struct flash, have), VM_STATE_BYTES(struct flash, locked),
};

static const struct vm_state_table state = VM_STATE_TABLE("cfi-flash", 2, 2, fields, flash_check);

static void
flash_describe(struct device *dev, struct device_description *desc)
{
	const struct flash *f = dev->soft;
	const struct device_property width = DEVICE_PROP_CELL("bank-width", f->width);

	desc->compatible = "cfi-flash";
	desc->node = "flash";
	desc->len = f->size;
	desc->prop[0] = width;
}

DEVICE_CLASS(cfi_flash, "cfi-flash", "flash memory for firmware and its variables", keys, &state,
    .on = DEVICE_ON_MMIO,
    .size = sizeof(struct flash),
    .init = flash_init,
    .fini = flash_fini,
    .reset = flash_reset,
    .pause = flash_pause,
    .resume = flash_resume,
    .describe = flash_describe);
