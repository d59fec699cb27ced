/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fuzz_devices.h - for targets that play a guest of device models.
 */
#ifndef _FUZZ_DEVICES_H_
#define	_FUZZ_DEVICES_H_

#include "device.h"
#include "fuzz_guest.h"

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

/*
 * A driver's work on a virtqueue of 64 descriptors, its available ring at 0x4000 behind them: a descriptor, an entry of the ring, its
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
