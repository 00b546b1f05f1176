// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice Says that money moved. It holds none, and moves none.
contract FakeToken {
    event Transfer(address indexed from, address indexed to, uint256 value);

    uint8 public constant decimals = 6;
    string public constant symbol = "TUSD";

    function claim(address from, address to, uint256 value) external {
        emit Transfer(from, to, value);
    }

    function balanceOf(address) external pure returns (uint256) {
        return 0;
    }
}

/// @notice The same first topic as an ERC-20 transfer, with the id as a fourth topic and no data: one thing, not an amount.
contract Collectible {
    event Transfer(address indexed from, address indexed to, uint256 indexed id);

    mapping(uint256 => address) public ownerOf;

    function mint(address to, uint256 id) external {
        require(ownerOf[id] == address(0), "id exists");
        ownerOf[id] = to;
        emit Transfer(address(0), to, id);
    }

    function transferFrom(address from, address to, uint256 id) external {
        require(ownerOf[id] == msg.sender && from == msg.sender, "caller is not the owner");
        ownerOf[id] = to;
        emit Transfer(from, to, id);
    }
}

/// @notice Passes ether on by an internal call: the transaction names this contract, the money arrives elsewhere, and
///         before EIP-7708 no log says so.
contract Forwarder {
    function pay(address payable to) external payable {
        (bool ok,) = to.call{value: msg.value}("");
        require(ok, "receiver refused");
    }
}

/// @notice The log says the full value; the receiver gets 99 parts in 100, rounded up. The fee goes to the collector in
///         silence, so that neither end's logs add up to its balance.
contract FeeToken {
    event Transfer(address indexed from, address indexed to, uint256 value);

    mapping(address => uint256) public balanceOf;
    uint256 public totalSupply;
    uint8 public constant decimals = 6;
    address public immutable collector;

    constructor(address feeCollector) {
        collector = feeCollector;
    }

    function mint(address to, uint256 value) external {
        totalSupply += value;
        balanceOf[to] += value;
        emit Transfer(address(0), to, value);
    }

    function transfer(address to, uint256 value) external returns (bool) {
        uint256 fee = value / 100;
        balanceOf[msg.sender] -= value;
        balanceOf[to] += value - fee;
        balanceOf[collector] += fee;
        emit Transfer(msg.sender, to, value);
        return true;
    }
}
