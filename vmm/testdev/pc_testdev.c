/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pc_testdev.c - the test device of a PC (pc_testdev.h): no hardware, but an agreement between hypervisors and the guests that test them.
 *
 * t->lock guards the state.
 */
#include <pthread.h>
#include <string.h>

#include "../device.h"
#include "../error.h"
#include "../line.h"
#include "pc_testdev.h"

#define	EXIT_LEN	4
#define	SIZES		0xe0
#define	LINES		0x2000
#define	MEMORY		0xff000000ULL
#define	MEMORY_LEN	0x10000

enum { R_EXIT, R_SIZES, R_LINES, R_MEMORY, NRANGES };

struct testdev;

/* What the guest reads and writes as it likes. */
struct bytes {
	struct testdev	*t;
	uint8_t		*buf;
	size_t		 len;
};

struct testdev {
	struct device	*dev;
	struct bytes	 bytes[NRANGES];	/* of R_SIZES and R_MEMORY */
	struct vm_range	*range[NRANGES];
	struct vm_irq	*line[PC_TESTDEV_LINES];
	void		(*end)(void *arg, int code);
	void		*end_arg;
	pthread_mutex_t	 lock;

	/* state */
	uint8_t		 sizes[4];
	uint32_t	 levels;		/* bit n: line n is high */
	uint8_t		 memory[MEMORY_LEN];
};

/* Bytes from off on; what is behind their end reads as all ones.  An access may begin at the last byte. */
static uint64_t
bytes_read(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size)
{
	const struct bytes *b = arg;
	uint64_t v = 0;

	pthread_mutex_lock(&b->t->lock);
	for (unsigned i = 0; i < size; i++)
		v |= (uint64_t)(off + i < b->len ? b->buf[off + i] : 0xff) << (8 * i);
	pthread_mutex_unlock(&b->t->lock);
	return (v);
}

static void
bytes_write(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size, uint64_t val)
{
	const struct bytes *b = arg;

	pthread_mutex_lock(&b->t->lock);
	for (unsigned i = 0; i < size && off + i < b->len; i++)
		b->buf[off + i] = (uint8_t)(val >> (8 * i));
	pthread_mutex_unlock(&b->t->lock);
}

/* Lock held, or paused. */
static void
drive(struct testdev *t, unsigned n)
{
	device_line(t->dev, t->line[n], (t->levels >> n & 1) != 0);
}

static uint64_t
lines_read(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size)
{
	struct testdev *t = arg;
	uint64_t v;

	pthread_mutex_lock(&t->lock);
	v = t->levels >> off & 1;
	pthread_mutex_unlock(&t->lock);
	return (v);
}

/* One line, whatever the size. */
static void
lines_write(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size, uint64_t val)
{
	struct testdev *t = arg;

	pthread_mutex_lock(&t->lock);
	if (val != 0)
		t->levels |= 1U << off;
	else
		t->levels &= ~(1U << off);
	drive(t, (unsigned)off);
	pthread_mutex_unlock(&t->lock);
}

static void
exit_write(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size, uint64_t val)
{
	struct testdev *t = arg;

	/* 8 bits are left of a process's exit code. */
	if (t->end != NULL)
		t->end(t->end_arg, (int)((val & 0x7f) << 1 | 1));
}

void
pc_testdev_connect(struct device *dev, struct vm_irq *const lines[PC_TESTDEV_LINES], void (*end)(void *arg, int code), void *arg)
{
	struct testdev *t = dev->soft;

	memcpy(t->line, lines, sizeof(t->line));
	t->end = end;
	t->end_arg = arg;
}

/* Life */

static void
testdev_fini(struct device *dev)
{
	struct testdev *t = dev->soft;

	for (unsigned i = 0; i < NRANGES; i++)
		vm_range_remove(t->range[i]);
	(void)vm_range_sync(dev->vmm->vm);
	for (unsigned n = 0; n < PC_TESTDEV_LINES; n++) {
		if (t->line[n] != NULL)
			(void)vm_irq_deassert(t->line[n]);
	}
	pthread_mutex_destroy(&t->lock);
}

static int
testdev_init(struct device *dev)
{
	static const struct vm_range_spec specs[NRANGES] = {
		[R_SIZES] = { .name = "pc-testdev sizes", .space = VM_SPACE_IO, .base = SIZES, .len = sizeof(((struct testdev *)0)->sizes),
		    .read = bytes_read, .write = bytes_write },
		[R_LINES] = { .name = "pc-testdev lines", .space = VM_SPACE_IO, .base = LINES, .len = PC_TESTDEV_LINES,
		    .read = lines_read, .write = lines_write },
		[R_MEMORY] = { .name = "pc-testdev memory", .space = VM_SPACE_MEM, .base = MEMORY, .len = MEMORY_LEN,
		    .read = bytes_read, .write = bytes_write },
	};
	struct testdev *t = dev->soft;

	t->dev = dev;
	t->bytes[R_SIZES] = (struct bytes){ t, t->sizes, sizeof(t->sizes) };
	t->bytes[R_MEMORY] = (struct bytes){ t, t->memory, sizeof(t->memory) };
	pthread_mutex_init(&t->lock, NULL);
	t->range[R_EXIT] = device_claim(dev, EXIT_LEN, NULL, exit_write, t);
	if (t->range[R_EXIT] == NULL)
		goto fail;
	for (unsigned i = R_SIZES; i < NRANGES; i++) {
		struct vm_range_spec spec = specs[i];

		spec.arg = i == R_LINES ? (void *)t : &t->bytes[i];
		t->range[i] = vm_range_add(dev->vmm->vm, &spec);
		if (t->range[i] == NULL) {
			(void)vmm_fail_vm("%s", dev->name);
			goto fail;
		}
	}
	return (0);
fail:
	testdev_fini(dev);
	return (-1);
}

static void
drive_all(struct testdev *t)
{
	for (unsigned n = 0; n < PC_TESTDEV_LINES; n++)
		drive(t, n);
}

static void
testdev_reset(struct device *dev)
{
	struct testdev *t = dev->soft;

	memset(t->sizes, 0, sizeof(t->sizes));
	memset(t->memory, 0, sizeof(t->memory));
	t->levels = 0;
	drive_all(t);
}

/* All that happens is under the lock of a vCPU's handler, and those are parked. */
static void
testdev_pause(struct device *dev)
{
}

static void
testdev_resume(struct device *dev)
{
	drive_all(dev->soft);
}

static int
testdev_check(void *obj)
{
	const struct testdev *t = obj;

	if (t->levels >> PC_TESTDEV_LINES != 0)
		return (vm_state_complain("pc-testdev: there is no such line"));
	return (0);
}

static const struct vm_state_field fields[] = {
	VM_STATE_BYTES(struct testdev, sizes), VM_STATE_U32(struct testdev, levels), VM_STATE_BYTES(struct testdev, memory),
};

static const struct vm_state_table state = VM_STATE_TABLE("pc-testdev", 1, 1, fields, testdev_check);

DEVICE_CLASS_NOKEYS(pc_testdev, "pc-testdev", "test device of a PC: exit code, interrupt lines, access sizes", &state,
    .on = DEVICE_ON_IO,
    .range_len = EXIT_LEN,
    .size = sizeof(struct testdev),
    .init = testdev_init,
    .fini = testdev_fini,
    .reset = testdev_reset,
    .pause = testdev_pause,
    .resume = testdev_resume);
