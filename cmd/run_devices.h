/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * run_devices.h - the devices that options of hyve run ask for: disks, CD drives, shared folders and NICs become keys of PCI slots.
 */
#ifndef _HYVE_RUN_DEVICES_H_
#define	_HYVE_RUN_DEVICES_H_

#include <stdbool.h>

struct config;

/* What is taken.  Zero, but for the configuration, at the beginning. */
struct run_devices {
	struct config	*config;
	unsigned	 drives;	/* slots, from the first one up */
	unsigned	 shares;	/* and from the last one down */
	unsigned	 ahci, ports;	/* slot of the last controller with ports, and how many of them are taken; 0: there is none */
	unsigned	 nics;
};

/* Each is argument number n of the verb.  -1 with a sentence. */

/* FILE[,key=value]...: a disk, whose model is the key device; cd: a CD drive, on AHCI. */
int	run_add_drive(struct run_devices *d, const char *text, bool cd, int n);
/* [NAME=]FOLDER[,key=value]...: a folder of the host. */
int	run_add_share(struct run_devices *d, const char *text, int n);
/* BACKEND[,key=value]...: a NIC; its model is the key device, and hostfwd may come several times. */
int	run_add_nic(struct run_devices *d, const char *text, int n);

#endif /* _HYVE_RUN_DEVICES_H_ */
