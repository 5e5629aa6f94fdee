// A button with words, and an icon where there is one.
import QtQuick
import QtQuick.Controls.Basic
import Olivine

Button {
    id: button
    property string symbol
    property bool prominent: false
    property string hint

    implicitHeight: Theme.control
    padding: 0
    leftPadding: Theme.spacing * 1.5
    rightPadding: Theme.spacing * 1.5
    spacing: Theme.spacing * 0.75
    focusPolicy: Qt.TabFocus
    opacity: enabled ? 1 : 0.4
    font.pixelSize: Theme.small * 1.05
    icon.source: symbol ? "qrc:/qt/qml/Olivine/icons/" + symbol + ".svg" : ""
    icon.width: Theme.fontSize * 1.1
    icon.height: Theme.fontSize * 1.1
    readonly property color ink: prominent ? Theme.accentText : Theme.text
    icon.color: ink
    palette.buttonText: ink
    Accessible.name: text
    Accessible.onPressAction: clicked()
    Keys.onReturnPressed: clicked()
    Keys.onEnterPressed: clicked()

    background: Rectangle {
        radius: Theme.radius * 0.7
        color: button.prominent ? (button.down ? Qt.darker(Theme.accent, 1.2) : Theme.accent)
                                : button.down || button.hovered ? Theme.hover : Theme.raised
        border.width: button.visualFocus ? 2 : 0
        border.color: button.prominent ? Theme.text : Theme.accent
    }
    ToolTip.text: hint
    ToolTip.visible: hint !== "" && hovered && !down
    ToolTip.delay: 600
}
