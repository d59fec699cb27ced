/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fuzz_devices.h - for targets that play a guest of device models.
 */
#ifndef _FUZZ_DEVICES_H_
#define	_FUZZ_DEVICES_H_

#include "device.h"
#include "fuzz_guest.h"

#define	FUZZ_RAM	(1UL << 20)

/* A VM without devices and processors; its memory, of FUZZ_RAM bytes. */
static inline uint8_t *
fuzz_vm_open(struct vmm *vmm)
{
	const struct vm_spec spec = { .size = sizeof(spec), .arch = VM_ARCH_AMD64, .accel = VM_ACCEL_SOFT };
	uint8_t *ram;

	vmm->vm = vm_new(&spec);
	vmm->loop = event_loop_new();
	vmm->config = config_new();
	if (vmm->vm == NULL || vmm->loop == NULL || vmm->config == NULL || vm_setup_memory(vmm->vm, FUZZ_RAM, VM_MMAP_ALL) != 0 ||
	    (ram = vm_map_gpa(vmm->vm, 0, FUZZ_RAM)) == NULL)
		abort();
	return (ram);
}

/* A device of a class, with keys in lines "name.key=value". */
static inline struct device *
fuzz_device(struct vmm *vmm, const char *cls, const char *name, const char *keys, const struct device_place *place)
{
	const struct device_class *c = device_class_find(cls);
	struct device *dev;

	if (c == NULL || config_declare(vmm->config, name, &c->keys) != 0 || config_load_text(vmm->config, "fuzz", keys, strlen(keys)) != 0 ||
	    (dev = device_create(vmm, c, name, config_node(vmm->config, name), place)) == NULL)
		abort();
	return (dev);
}

/* All devices, and memory, as they were at the beginning. */
static inline void
fuzz_restart(struct vmm *vmm, uint8_t *ram)
{
	devices_pause(vmm);
	devices_reset(vmm);
	memset(ram, 0, FUZZ_RAM);
	devices_resume(vmm);
}

static int
fuzz_save_devices(void *arg, struct vm_state_out *out)
{
	return (devices_save(arg, out));
}

static int
fuzz_load_devices(void *arg, struct vm_state_in *in)
{
	return (devices_load(arg, in));
}

/* All devices through a snapshot of themselves. */
static inline void
fuzz_move(struct vmm *vmm)
{
	devices_pause(vmm);
	fuzz_state(vmm, fuzz_save_devices, fuzz_load_devices);
	devices_resume(vmm);
}

/* Where virtqueue q is: its available and used rings at 0x4000 and 0x8000 behind its descriptors. */
#define	FUZZ_RINGS(q)	(0x10000ULL + 0x10000 * (q))

/*
 * A driver's work on a virtqueue of 64 descriptors: a descriptor, an entry of the ring, its
 * index; and a byte of memory.  The input says what.
 */
static inline void
fuzz_ring_desc(uint8_t *rings, const uint8_t **p, const uint8_t *end)
{
	uint64_t i = fuzz_bytes(p, end, 1) % 64, val = fuzz_bytes(p, end, 3);

	memcpy(rings + 16 * i, &val, 8);
	val = fuzz_bytes(p, end, 2) | (fuzz_bytes(p, end, 1) % 8) << 32 | fuzz_bytes(p, end, 1) << 48;
	memcpy(rings + 16 * i + 8, &val, 8);
}

static inline void
fuzz_ring_avail(uint8_t *rings, const uint8_t **p, const uint8_t *end)
{
	uint64_t i = fuzz_bytes(p, end, 1) % 64;

	rings[0x4000 + 4 + 2 * i] = (uint8_t)fuzz_bytes(p, end, 1);
}

static inline void
fuzz_ring_index(uint8_t *rings, const uint8_t **p, const uint8_t *end)
{
	uint64_t val = fuzz_bytes(p, end, 2);

	memcpy(rings + 0x4002, &val, 2);
}

static inline void
fuzz_poke(uint8_t *ram, size_t len, const uint8_t **p, const uint8_t *end)
{
	uint64_t i = fuzz_bytes(p, end, 3) % len;

	ram[i] = (uint8_t)fuzz_bytes(p, end, 1);
}

#endif /* _FUZZ_DEVICES_H_ */
