/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * headers.h - places and numbers in the headers of a frame: Ethernet (IEEE 802.3, 802.1Q), IP (RFC 791, RFC 8200), TCP (RFC 9293) and UDP
 * (RFC 768).  Lengths and places are in bytes, from where the header begins; numbers are big-endian (offload_get16()).
 */
#ifndef _HYVE_NET_HEADERS_H_
#define	_HYVE_NET_HEADERS_H_

/* Ethernet */
#define	ETH_TYPE_AT	12U
#define	ETH_TAG_LEN	4U		/* of a VLAN, before the type */
#define	ETH_IP4		0x0800U
#define	ETH_IP6		0x86ddU
#define	ETH_VLAN	0x8100U

/* IP: headers without options and extensions, protocols */
#define	IP4_LEN		20U
#define	IP6_LEN		40U
#define	IP_TCP		6U
#define	IP_UDP		17U

/* TCP: a header without options, places, flags */
#define	TCP_LEN		20U
#define	TCP_SEQ_AT	4U
#define	TCP_FLAGS_AT	13U
#define	TCP_SUM_AT	16U
#define	TCP_FIN		0x01U
#define	TCP_PSH		0x08U
#define	TCP_ACK		0x10U
#define	TCP_CWR		0x80U		/* RFC 3168 */

#define	UDP_LEN		8U

#endif /* _HYVE_NET_HEADERS_H_ */
