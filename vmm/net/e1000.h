/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * e1000.h - between the files of the Intel gigabit controller: e1000.c (rings, statistics, interrupts, life), e1000_regs.c
 * (registers), e1000_rom.c (EEPROM and PHY), e1000_tx.c and e1000_rx.c (descriptors and frames).
 *
 * Section numbers and names of registers and bits are those of Intel's "PCI/PCI-X Family of Gigabit Ethernet Controllers Software
 * Developer's Manual", revision 4.0.  Numbers in guest memory are little-endian, as the host's.
 *
 * e->lock guards everything but what the control thread has taken out of the transmit ring (e->out).  Frames come and go on the control
 * thread alone.
 */
#ifndef _HYVE_E1000_H_
#define	_HYVE_E1000_H_

#include <pthread.h>

#include "../pci/pci.h"
#include "net.h"

#define	E1000_VENDOR		0x8086U
#define	E1000_EEPROM_WORDS	64U
#define	E1000_PHY_REGS		32U
#define	E1000_ADDRS		16U		/* receive addresses: RAL, RAH */
#define	E1000_FRAME_MAX		16384U		/* bytes of a frame with its checksum, sent by descriptors or received */
#define	E1000_LEGAL_MAX		1522U		/* the same without RCTL.LPE (13.4.22) */
#define	E1000_FRAME_MIN		60U		/* bytes without a checksum */
#define	E1000_CRC		4U
/* 3.3.6: a TCP segmentation's data and header. */
#define	E1000_PAYLEN_MAX	0xfffffU
#define	E1000_HDRLEN_MAX	0xffU

/* CTRL (13.4.1) */
#define	E1000_CTRL_FD		0x00000001U
#define	E1000_CTRL_SLU		0x00000040U
#define	E1000_CTRL_SPEED	0x00000300U
#define	E1000_CTRL_SPEED_1000	0x00000200U
#define	E1000_CTRL_FRCSPD	0x00000800U
#define	E1000_CTRL_FRCDPLX	0x00001000U
#define	E1000_CTRL_RST		0x04000000U
#define	E1000_CTRL_RFCE		0x08000000U
#define	E1000_CTRL_VME		0x40000000U
#define	E1000_CTRL_PHY_RST	0x80000000U

/* STATUS (13.4.2) */
#define	E1000_STATUS_FD		0x0001U
#define	E1000_STATUS_LU		0x0002U
#define	E1000_STATUS_TXOFF	0x0010U
#define	E1000_STATUS_1000	0x0080U
#define	E1000_STATUS_ASDV_1000	0x0200U

/* EECD (13.4.3), EERD (13.4.4) */
#define	E1000_EECD_SK		0x001U
#define	E1000_EECD_CS		0x002U
#define	E1000_EECD_DI		0x004U
#define	E1000_EECD_DO		0x008U
#define	E1000_EECD_FWE		0x030U
#define	E1000_EECD_REQ		0x040U
#define	E1000_EECD_GNT		0x080U
#define	E1000_EECD_PRES		0x100U
#define	E1000_EERD_START	0x01U
#define	E1000_EERD_DONE		0x10U

/* CTRL_EXT (13.4.6) */
#define	E1000_CTRL_EXT_EE_RST	0x2000U

/* MDIC (13.4.7) */
#define	E1000_MDIC_READY	0x10000000U
#define	E1000_MDIC_INT		0x20000000U
#define	E1000_MDIC_ERROR	0x40000000U

/* ICR, ICS, IMS, IMC (13.4.17 to 13.4.21) */
#define	E1000_INT_TXDW		0x00001U
#define	E1000_INT_TXQE		0x00002U
#define	E1000_INT_LSC		0x00004U
#define	E1000_INT_RXDMT0	0x00010U
#define	E1000_INT_RXO		0x00040U
#define	E1000_INT_RXT0		0x00080U
#define	E1000_INT_MDAC		0x00200U
#define	E1000_INT_TXD_LOW	0x08000U
#define	E1000_INT_SRPD		0x10000U
#define	E1000_INT_ALL		0x1f6dfU

/* RCTL (13.4.22) */
#define	E1000_RCTL_EN		0x00000002U
#define	E1000_RCTL_UPE		0x00000008U
#define	E1000_RCTL_MPE		0x00000010U
#define	E1000_RCTL_LPE		0x00000020U
#define	E1000_RCTL_LBM		0x000000c0U
#define	E1000_RCTL_RDMTS(r)	((r) >> 8 & 3)
#define	E1000_RCTL_MO(r)	((r) >> 12 & 3)
#define	E1000_RCTL_BAM		0x00008000U
#define	E1000_RCTL_BSIZE(r)	((r) >> 16 & 3)
#define	E1000_RCTL_VFE		0x00040000U
#define	E1000_RCTL_CFIEN	0x00080000U
#define	E1000_RCTL_CFI		0x00100000U
#define	E1000_RCTL_DPF		0x00400000U
#define	E1000_RCTL_PMCF		0x00800000U
#define	E1000_RCTL_BSEX		0x02000000U
#define	E1000_RCTL_SECRC	0x04000000U

/* TCTL, TXDCTL, RXCSUM (13.4) */
#define	E1000_TCTL_EN		0x2U
#define	E1000_TCTL_PSP		0x8U
#define	E1000_TXDCTL_LWTHRESH(t) ((t) >> 25)
#define	E1000_RXCSUM_PCSS(r)	((r) & 0xff)
#define	E1000_RXCSUM_IPOFLD	0x100U
#define	E1000_RXCSUM_TUOFLD	0x200U
#define	E1000_RAH_AV		0x80000000U
#define	E1000_RAH_AS(r)		((r) >> 16 & 3)

/* PHY registers that others look at (13.4.7.1) */
#define	E1000_PHY_PCTRL		0U
#define	E1000_PCTRL_LOOPBACK	0x4000U

/* Statistics (13.7), by their place from 0x4000 on in words. */
enum {
	E1000_MPC = 4, E1000_XOFFRXC = 20, E1000_XONRXC = 18, E1000_FCRUC = 22, E1000_PRC64 = 23, E1000_GPRC = 29, E1000_BPRC, E1000_MPRC,
	E1000_GPTC, E1000_GORC = 34, E1000_GOTC = 36, E1000_RNBC = 40, E1000_ROC = 43, E1000_TOR = 48, E1000_TOT = 50, E1000_TPR = 52,
	E1000_TPT, E1000_PTC64, E1000_MPTC = 60, E1000_BPTC, E1000_TSCTC, E1000_TSCTFC, E1000_NSTATS
};

/* Which of them count the frames of a direction. */
struct e1000_direction {
	uint8_t		 good, total, good_octets, total_octets, size, broadcast, multicast;
};

/* A ring's registers (13.4: RDBAL to RDT, TDBAL to TDT), and what is not reserved of bal and len. */
#define	E1000_RING_BAL		0xfffffff0U
#define	E1000_RING_LEN		0x000fff80U
struct e1000_ring {
	uint32_t	 bal, bah, len, head, tail;
};

/* A descriptor of either direction, as two numbers: the first is an address, but for a context. */
struct e1000_desc {
	uint64_t	 addr, rest;
};
_Static_assert(sizeof(struct e1000_desc) == 16, "3.2.3, 3.3.3");

/* What a context descriptor says (3.3.6); PAYLEN belongs to one packet. */
struct e1000_context {
	uint8_t		 ipcss, ipcso, tucss, tucso, hdrlen;
	uint16_t	 ipcse, tucse, mss;
	uint32_t	 paylen;
	bool		 tcp, ipv4;
};

/* A packet that was taken out of the transmit ring; the control thread's. */
struct e1000_out {
	uint8_t		*buf;		/* ETH_TAG_LEN bytes of room, and the packet */
	uint8_t		*segbuf;	/* the same for a segment of it */
	size_t		 len;
	bool		 busy;		/* there is one, and not all of it is sent */
	bool		 tso;		/* it is to be cut, by context */
	bool		 whole;		/* by the back end */
	bool		 ixsm, txsm;	/* insert checksums, by context */
	bool		 sum;		/* insert one from sumfrom on at sumat */
	uint8_t		 sumfrom, sumat;
	bool		 tagged, pad, loop;
	uint16_t	 tag, vet;
	struct e1000_context context;
	size_t		 off;		/* of the payload: what comes next */
	unsigned	 segment;	/* how many were made */
	bool		 made;		/* f is the next one to be sent */
	struct iovec	 iov;
	struct net_frame f;
};

struct e1000 {
	struct pci_fn	 fn;
	struct device	*dev;
	struct net	*net;
	struct event	*kick;		/* the control thread: there is something to send, or room */
	struct vm_timer	*throttle;	/* an interrupt that ITR holds back; its count is in units of ITR */
	pthread_mutex_t	 lock;
	/* fixed */
	uint16_t	 device_id;
	/* of the moment */
	bool		 active;	/* between resume and pause */
	bool		 waiting;	/* a frame was refused: the back end wants to know of room */
	bool		 refused;	/* by the back end, which will call; control thread's */
	bool		 asserted;	/* the pin */
	uint64_t	 next_int;	/* count of throttle before which it stays down */
	struct e1000_out out;
	uint8_t		*in;		/* a received frame in one piece */
	/* state */
	bool		 link;		/* the back end's */
	uint32_t	 ctrl, eecd, eerd, ctrl_ext, mdic, fcal, fcah, fct, vet, fcttv, ledctl, pba, fcrtl, fcrth;
	uint32_t	 icr, itr, ims;
	uint32_t	 rctl, rdtr, radv, rsrpd, rxdctl, rxcsum;
	uint32_t	 tctl, tipg, ait, tidv, txdma, txdctl, tadv, tspmt;
	struct e1000_ring rx, tx;
	uint32_t	 mta[128], ra[2 * E1000_ADDRS], vfta[128];
	uint32_t	 wuc, wufc, wus, ipav, manc, ip4at[4], ip6at[4], wupm[32], fflt[4], ffmt[128], ffvt[128];
	uint32_t	 stats[E1000_NSTATS];
	uint32_t	 ioaddr;
	struct e1000_context context[2];	/* [1]: of a TCP segmentation (3.3.6.1, TSE) */
	uint16_t	 eeprom[E1000_EEPROM_WORDS];
	/* the EEPROM's wires: bits that came since it was selected, how many, what it answers and how many bits of that are left */
	uint32_t	 ee_in;
	uint8_t		 ee_count;
	uint16_t	 ee_out;
	uint8_t		 ee_left;
	bool		 ee_do, ee_writable;
	uint16_t	 phy[E1000_PHY_REGS];
	bool		 phy_lost;	/* the link was down since PSTATUS was read */
};

static inline struct vmctx *
e1000_vm(const struct e1000 *e)
{
	return (e->dev->vmm->vm);
}

/* e1000.c.  Lock held. */

/* Note causes of interrupts; e1000_update() tells. */
static inline void
e1000_cause(struct e1000 *e, uint32_t causes)
{
	e->icr |= causes;
}
/* The pin follows causes, mask and throttle. */
void	e1000_update(struct e1000 *e);
/* Have the control thread look at both rings. */
void	e1000_wake(struct e1000 *e);
/* What STATUS.LU says: the PHY has a link, and the driver wants one. */
bool	e1000_link_up(const struct e1000 *e);
/* Add to a counter, which stays at its maximum. */
void	e1000_count(struct e1000 *e, unsigned i, uint32_t n);
/* Count a frame that was sent or received: len bytes without the checksum, as it is on the wire. */
void	e1000_count_frame(struct e1000 *e, const struct e1000_direction *d, const uint8_t *frame, size_t len);
/* Descriptors of a ring; 0: it is none, or outside of itself. */
uint32_t e1000_ring_size(const struct e1000_ring *r);
/* How many descriptors the hardware has. */
uint32_t e1000_ring_owned(const struct e1000_ring *r);
/* The i-th descriptor from the head on, of a ring that has some.  false: it is not in RAM, and reads as zeros. */
bool	e1000_fetch(struct e1000 *e, const struct e1000_ring *r, uint32_t i, struct e1000_desc *d);
/* Write a descriptor's second half back, its last word last. */
void	e1000_write_back(struct e1000 *e, const struct e1000_ring *r, uint32_t i, uint64_t rest);

/* e1000_regs.c */

/* The registers' BARs.  -1 with a sentence. */
int	e1000_add_bars(struct e1000 *e);
/* All registers, but the PHY and what the EEPROM has (13.4.1, CTRL.RST).  Lock held. */
void	e1000_regs_reset(struct e1000 *e);

/* e1000_rom.c.  Lock held. */

/* The EEPROM as it is delivered. */
void	e1000_eeprom_init(struct e1000 *e);
/* What the hardware reads from it after a reset. */
void	e1000_eeprom_load(struct e1000 *e);
void	e1000_eerd_write(struct e1000 *e, uint32_t val);
void	e1000_eecd_write(struct e1000 *e, uint32_t val);
uint32_t e1000_eecd_read(const struct e1000 *e);
void	e1000_phy_reset(struct e1000 *e);
/* Whether the PHY has a link. */
bool	e1000_phy_link(const struct e1000 *e);
void	e1000_mdic_write(struct e1000 *e, uint32_t val);

/* e1000_tx.c.  Control thread, without the lock. */

/* Send what the driver gave, until the back end refuses. */
void	e1000_transmit(struct e1000 *e);

/* e1000_rx.c.  Control thread, without the lock. */

/* A frame from outside, or from the transmitter in loopback; struct net_nic has the rules. */
bool	e1000_receive(void *arg, const struct net_frame *f);

#endif /* _HYVE_E1000_H_ */
