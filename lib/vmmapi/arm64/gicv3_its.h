/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * gicv3_its.h - what the files of the interrupt translation service share: its tables in guest memory (gicv3_its_table.c), for its
 * registers and commands (gicv3_its.c).  Functions are called with the controller's lock held.
 */
#ifndef _VMMAPI_ARM64_GICV3_ITS_H_
#define	_VMMAPI_ARM64_GICV3_ITS_H_

#include "gicv3.h"

#define	ITS_DEVICE_BITS	16U
#define	ITS_EVENT_BITS	16U
#define	ITS_ENTRY_SIZE	8U
#define	ITS_VALID	(1ULL << 63)		/* in registers, commands and entries */
#define	ITS_INDIRECT	(1ULL << 62)		/* GITS_BASERn.Indirect */
enum { ITS_DEVICES, ITS_COLLECTIONS };		/* GITS_BASER numbers */

/* What an event is: its entry and where that stands, its LPI, its collection's processor (NULL: not mapped). */
struct its_event {
	uint64_t	 gpa, ite;
	uint32_t	 intid;
	struct gic_cpu	*target;
};

/* false: a device that is not mapped, an event that its table has no room for or that is none. */
bool	its_translate(struct gic *g, uint32_t device, uint32_t event, struct its_event *e);
/* Give an event that there is room for an LPI and a collection; and one that was translated another collection, or nothing. */
void	its_map_event(struct gic *g, uint32_t device, uint32_t event, uint32_t intid, uint16_t icid);
void	its_move_event(struct gic *g, const struct its_event *e, uint16_t icid);
void	its_unmap_event(struct gic *g, const struct its_event *e);
/* Give a device a table at itt for events of so many bits, or take it away (bits 0). */
void	its_map_device(struct gic *g, uint32_t device, uint64_t itt, unsigned bits);

/* The processor of this number, or that a collection is mapped to; NULL. */
struct gic_cpu *its_processor(struct gic *g, uint64_t number);
struct gic_cpu *its_collection(struct gic *g, uint16_t icid);
void	its_map_collection(struct gic *g, uint16_t icid, uint64_t target, bool valid);
/* Find out what the collection table in memory says. */
void	its_read_collections(struct gic *g);

#endif /* _VMMAPI_ARM64_GICV3_ITS_H_ */
