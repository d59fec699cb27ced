/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cond.h - the conditions of Jcc, CMOVcc and SETcc (Intel SDM vol. 1 appendix B), for the tables of
 * functions that have one for each.
 */
#ifndef _VMMAPI_SOFT_AMD64_COND_H_
#define	_VMMAPI_SOFT_AMD64_COND_H_

#define	CONDITIONS(X)								\
	X(O, 0) X(NO, 1) X(B, 2) X(NB, 3) X(Z, 4) X(NZ, 5) X(BE, 6) X(NBE, 7)	\
	X(S, 8) X(NS, 9) X(P, 10) X(NP, 11) X(L, 12) X(NL, 13) X(LE, 14) X(NLE, 15)

#endif /* _VMMAPI_SOFT_AMD64_COND_H_ */
