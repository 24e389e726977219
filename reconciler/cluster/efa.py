"""Which instance types take an Elastic Fabric Adapter, as far as known here.

From EC2's DescribeInstanceTypes (networkInfo.efaSupported). A family that is not here is newer than this
list: it is let through, and EC2 has the last word when it launches.
"""

# Sizes that take one -> families. The sizes of these families that are not here take none.
FAMILIES_BY_SIZES = {
    "48xlarge metal-48xl": "c7a c7i c8a c9g c9gd i7ie i8g i8ge m7a m7i m8a m9g m9gd r7a r7i r8a r9g r9gd",
    "48xlarge 96xlarge metal-48xl metal-96xl": (
        "c8i c8ib c8id c8in m8i m8ib m8id m8idb m8idn m8in r8i r8ib r8id r8idb r8idn r8in"
    ),
    "32xlarge metal": "c6i c6id c6in i4i m6i m6id m6idn m6in r6i r6id r6idn r6in x2idn x2iedn",
    "16xlarge metal": "c7g c7gd c7gn m7g m7gd r7g r7gd",
    "24xlarge 48xlarge metal-24xl metal-48xl": "c8g c8gd m8g m8gd r8g r8gd x8g",
    "48xlarge": "f2 hpc6a p5e p5en p6-b200 p6-b300 trn2u",
    "16xlarge 24xlarge 48xlarge metal-24xl metal-48xl": "c8gb c8gn m8gb m8gn r8gb r8gn",
    "24xlarge": "dl2q inf1 p3dn p4d p4de vt1",
    "24xlarge metal": "m5dn m5n r5dn r5n",
    "224xlarge": "u7i-12tb u7in-16tb u7in-24tb u7in-32tb",
    "48xlarge metal": "c6a m6a r6a",
    "16xlarge": "c6gn i4g im4gn",
    "8xlarge 12xlarge 16xlarge 24xlarge 48xlarge": "g5 g6 g6e",
    "32xlarge": "hpc6id trn1 trn1n",
    "8xlarge 12xlarge 24xlarge 48xlarge": "g7 g7e",
    "12xlarge metal": "m5zn x2iezn",
    "24xlarge metal-24xl": "m8azn x8aedz",
    "112xlarge": "u7i-6tb u7i-8tb",
    "9xlarge 18xlarge metal": "c5n",
    "8xlarge 12xlarge 16xlarge metal": "g4dn",
    "8xlarge": "gr6",
    "12xlarge 24xlarge 48xlarge 96xlarge": "hpc7a",
    "4xlarge 8xlarge 16xlarge": "hpc7g",
    "96xlarge": "hpc8a",
    "12xlarge 24xlarge metal": "i3en",
    "24xlarge 48xlarge metal-48xl": "i7i",
    "4xlarge 48xlarge": "p5",
    "32xlarge metal-32xl": "r7iz",
    "3xlarge 48xlarge": "trn2",
    "48xlarge 64xlarge 96xlarge metal-48xl metal-96xl": "x8i",
    "": (
        "a1 c1 c3 c4 c5 c5a c5ad c5d c6g c6gd c7i-flex c8i-flex c8ine d2 d3 d3en g5g g6f gr6f h1 i2 i3 "
        "inf2 is4gen m1 m2 m3 m4 m5 m5a m5ad m5d m6g m6gd m7i-flex m8i-flex m8ine mac-m3ultra mac-m4 "
        "mac-m4max mac-m4pro mac1 mac2 mac2-m1ultra mac2-m2 mac2-m2pro r3 r4 r5 r5a r5ad r5b r5d r6g "
        "r6gd r8i-flex t1 t2 t3 t3a t4g t8i u-3tb1 u-6tb1 x1 x1e x2gd z1d"
    ),
}


SIZES = {
    family: frozenset(sizes.split()) for sizes, families in FAMILIES_BY_SIZES.items() for family in families.split()
}


def efa_support(instance_type: str) -> bool | None:
    """Whether EC2 attaches an EFA to this type; None when its family is not known here."""
    family, _, size = instance_type.partition(".")
    return size in SIZES[family] if family in SIZES else None
