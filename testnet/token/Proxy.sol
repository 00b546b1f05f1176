// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title  The address holders know: it keeps the storage and borrows its code.
/// @notice The implementation stands in the slot of the zeppelinos era and not in the one of EIP-1967, because that is
///         where the largest dollar token has it: whoever reads only EIP-1967 sees no proxy here and misses an upgrade.
///         The admin can only administer. Any other caller reaches the implementation and nothing else.
contract Proxy {
    /// keccak256("org.zeppelinos.proxy.implementation")
    bytes32 private constant IMPLEMENTATION = 0x7050c9e0f4ca769c69bd3a8ef740bc37934f8e2c036e5a723fd8ee048ed3f8c3;
    /// keccak256("org.zeppelinos.proxy.admin")
    bytes32 private constant ADMIN = 0x10d6a54a4754c8869d6886b5f5d7fbfa5b4522237ea5c60d11bc4e7a1ff9390b;

    event Upgraded(address implementation);
    event AdminChanged(address previousAdmin, address newAdmin);

    constructor(address code, address administrator, bytes memory call) {
        _store(ADMIN, administrator);
        _point(code);
        if (call.length > 0) {
            (bool ok, bytes memory why) = code.delegatecall(call);
            if (!ok) {
                assembly {
                    revert(add(why, 32), mload(why))
                }
            }
        }
    }

    modifier onlyAdmin() {
        if (msg.sender == _load(ADMIN)) {
            _;
        } else {
            _forward();
        }
    }

    function upgradeTo(address code) external onlyAdmin {
        _point(code);
        emit Upgraded(code);
    }

    function changeAdmin(address to) external onlyAdmin {
        require(to != address(0), "new admin is the zero address");
        emit AdminChanged(_load(ADMIN), to);
        _store(ADMIN, to);
    }

    function implementation() external onlyAdmin returns (address) {
        return _load(IMPLEMENTATION);
    }

    function admin() external onlyAdmin returns (address) {
        return _load(ADMIN);
    }

    fallback() external {
        require(msg.sender != _load(ADMIN), "admin cannot use the token");
        _forward();
    }

    function _forward() private {
        address code = _load(IMPLEMENTATION);
        assembly {
            calldatacopy(0, 0, calldatasize())
            let ok := delegatecall(gas(), code, 0, calldatasize(), 0, 0)
            returndatacopy(0, 0, returndatasize())
            if ok { return(0, returndatasize()) }
            revert(0, returndatasize())
        }
    }

    function _point(address code) private {
        require(code.code.length > 0, "implementation has no code");
        _store(IMPLEMENTATION, code);
    }

    function _load(bytes32 slot) private view returns (address value) {
        assembly {
            value := sload(slot)
        }
    }

    function _store(bytes32 slot, address value) private {
        assembly {
            sstore(slot, value)
        }
    }
}
